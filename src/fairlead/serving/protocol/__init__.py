"""What the bytes of a request mean, and how predictions are written.

Belongs here: the Open Inference Protocol and plain rows, from a body to tensors and back; pure.
Does not: connections (http/), and predicting (engine/).
"""
