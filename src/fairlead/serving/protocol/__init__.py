"""The bytes of requests and responses: the Open Inference Protocol and plain rows. Pure.

Records that each request makes are msgspec Structs, not dataclasses: a frozen one is made in
0.04 us where a dataclass takes 0.8, and a request makes four.
"""
