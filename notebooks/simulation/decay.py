#!/usr/bin/env python3
"""Solve y' = -10 y by Euler's method: decay.py STEP. With a step above 0.2 the solution grows instead of decaying."""

import sys
import time

step = float(sys.argv[1])
t, y = 0.0, 1.0
for _ in range(100):
    time.sleep(0.02)  # a real simulation takes its time
    t, y = t + step, y - 10.0 * y * step
    print(f"{t:.4f} {y:.6g} {step:g}", flush=True)
