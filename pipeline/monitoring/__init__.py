"""What only observes a run: loggers, progress, throughput, profiler. No stage is hashed on it: it changes no output."""
