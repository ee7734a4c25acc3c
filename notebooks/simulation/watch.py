#!/usr/bin/env python3
"""A monitor: watch.py PID OUTPUT. It ends a simulation whose solution grows, and says at which step that was."""

import re
import sys

for line in re.search("<stdout>(.*)</stdout>", sys.argv[2], re.DOTALL)[1].splitlines():
    words = line.split()
    if len(words) == 3 and abs(float(words[1])) > 1000.0:
        print("stratos_relaunch", words[2])
        break
