"""Server side: the stream processors, detection, replay and the benchmark."""
