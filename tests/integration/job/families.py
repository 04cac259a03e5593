"""Families that misbehave, as text for a `./file.py:Name` family."""

SLOW = '''
import time
from sklearn.linear_model import Ridge

class Slow(Ridge):
    """A fit that takes its time."""

    def __init__(self, alpha=1.0, seconds=0.2):
        super().__init__(alpha=alpha)
        self.seconds = seconds

    def fit(self, X, y):
        time.sleep(self.seconds)
        return super().fit(X, y)
'''

BAD = '''
import ctypes, os, sys, time
import numpy as np
from sklearn.linear_model import Ridge

class Bad(Ridge):
    """Does as `how` says; everything but 'well' is trouble."""

    def __init__(self, alpha=1.0, how="well"):
        super().__init__(alpha=alpha)
        self.how = how

    def fit(self, X, y):
        getattr(self, "_" + self.how)()
        super().fit(X, y)
        if self.how == "scribble":
            X *= 1000.0
            y += 7.0
        return self

    def predict(self, X):
        predicted = super().predict(X)
        return predicted * np.nan if self.how == "nan" else predicted

    def _well(self): pass
    def _nan(self): pass
    def _scribble(self): pass
    def _fork(self): os.fork()
    def _close(self):
        os.closerange(3, 4096)
        while True: time.sleep(60)
    def _segfault(self): ctypes.string_at(0)
    def _exit(self): os._exit(7)
    def _raise(self): raise RuntimeError("no luck today")
    def _hang(self):
        while True: time.sleep(60)
    def _eat(self):
        kept = []
        while True: kept.append(np.ones(4_000_000))
    def _chatter(self):
        for _ in range(80):
            sys.stdout.write("x" * 100_000 + "\\n")
            sys.stderr.write("y" * 100_000 + "\\n")
'''
