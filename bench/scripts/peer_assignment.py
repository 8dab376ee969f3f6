"""scipy's exact solver on the same balanced assignment, each expert repeated T / E times.

usage: peer_assignment.py make KIND FILE TOKENS EXPERTS   writes scores
       peer_assignment.py solve FILE TOKENS EXPERTS       prints processor seconds and the sum as JSON
"""
import json
import sys
import time

import numpy as np
from scipy.optimize import linear_sum_assignment


def make(kind, tokens, experts):
    r = np.random.default_rng(9)
    if kind == "normal":
        return r.standard_normal((tokens, experts))
    if kind == "trained":  # 40 clusters of hidden states of unequal size against 64-wide embeddings
        centres, w = r.standard_normal((40, 64)), r.standard_normal((experts, 64))
        h = centres[(40 * r.random(tokens) ** 2).astype(int)] + 0.3 * r.standard_normal((tokens, 64))
        return h @ w.T / 8
    if kind == "skewed":  # experts differ by up to 15 deviations
        return r.standard_normal((tokens, experts)) + 15 * np.arange(experts) / experts
    if kind == "ties":
        return r.integers(0, 3, (tokens, experts)).astype(float)
    raise SystemExit("unknown kind " + kind)


if sys.argv[1] == "make":
    _, _, kind, path, tokens, experts = sys.argv
    make(kind, int(tokens), int(experts)).astype("<f8").tofile(path)
else:
    _, _, path, tokens, experts = sys.argv
    tokens, experts = int(tokens), int(experts)
    scores = np.fromfile(path, "<f8").reshape(tokens, experts)
    expanded = np.repeat(scores, tokens // experts, axis=1)
    begin = time.process_time()
    rows, columns = linear_sum_assignment(expanded, maximize=True)
    seconds = time.process_time() - begin
    print(json.dumps({"seconds": seconds, "sum": float(expanded[rows, columns].sum())}))
