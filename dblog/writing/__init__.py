"""What one handler does in one process: take records, form batches, and bring each to where it is safe."""
