"""Starting work: folders, devices, executors and the worker process."""
