"""The topology of docker/compose.yaml: with a container engine, or the same services as plain processes."""
