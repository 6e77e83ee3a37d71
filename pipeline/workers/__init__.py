"""Where jobs run: executors, the worker process, and which device each worker gets."""
