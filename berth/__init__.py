"""Berth drives a Django project, in containers or without them.

Modules compute, tasks act: the modules here return argument lists or data, `berth.tasks` is the Invoke shelf on top of
them, `berth.engines` does what it asks for, and `berth.process` alone starts processes.
"""

__version__ = "0.1.0"
