"""What a sweep's folder says, put together for its report: a sweep may have ended, been killed, or run right now."""
