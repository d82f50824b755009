"""Docker Swarm: the cluster that is built into the engine."""
