"""The daemon: a master that supervises workers, and the workers that answer clients."""
