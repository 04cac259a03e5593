"""One fit shared by several processes: who computes which part of a step, and what it becomes."""
