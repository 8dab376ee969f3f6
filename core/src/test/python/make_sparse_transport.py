"""Writes sparse-transport.txt: plans of POT's ot.smooth for SparseTransportTest.

usage (POT 0.9.7, which prints lines of its own):
  python make_sparse_transport.py | grep -E "^(solved|at) " > ../resources/org/moe4j/sparse-transport.txt

One problem per line: kind, m, n, k, gamma, then a [m], b [n], the cost column by column, and
  solved: the plan that POT finds, column by column
  at: an alpha [m], then value, gradient [m] and plan there
"""
import numpy as np
from ot import smooth

rng = np.random.default_rng(23)


def line(kind, m, n, k, gamma, *arrays):
    numbers = np.concatenate([np.ravel(x, order="F") for x in arrays])
    print(kind, m, n, k, gamma, *(repr(float(v)) for v in numbers))


def problem(m, n, mass):
    a = rng.uniform(0.5, 1.5, m)
    b = rng.uniform(0.5, 1.5, n)
    return a / a.sum() * mass, b / b.sum() * mass, rng.uniform(0, 1, (m, n))


for m, n, gamma, mass in [(8, 6, 0.1, 1), (5, 12, 1, 1), (12, 5, 0.5, 5), (10, 10, 2, 10)]:
    a, b, cost = problem(m, n, mass)
    plan = smooth.smooth_ot_semi_dual(a, b, cost, gamma, reg_type="l2", stopThr=1e-12, numItermax=5000)
    line("solved", m, n, m, gamma, a, b, cost, plan)
    support = int((plan > 1e-9).sum(axis=0).max())
    if support < m:
        line("solved", m, n, support, gamma, a, b, cost, plan)
for m, n, k, gamma, mass in [(8, 6, 1, 0.1, 1), (8, 6, 2, 0.1, 1), (12, 5, 3, 1, 12), (4, 20, 2, 1, 20)]:
    a, b, cost = problem(m, n, mass)
    alpha = rng.normal(0, 0.3, m)
    regul = smooth.SparsityConstrained(max_nz=k, gamma=gamma)
    value, gradient = smooth.semi_dual_obj_grad(alpha, a, b, cost, regul)
    plan = smooth.get_plan_from_semi_dual(alpha, b, cost, regul)
    line("at", m, n, k, gamma, a, b, cost, alpha, [value], gradient, plan)
