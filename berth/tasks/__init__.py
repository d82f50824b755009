"""The Invoke shelf: thin tasks on top of the modules of `berth`."""
