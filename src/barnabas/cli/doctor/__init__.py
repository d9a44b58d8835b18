"""`barnabas doctor`: looks at a configuration, a machine or a running node, and says what is wrong.

`survey.py` and `running.py` look; the other modules judge what was seen and are pure.
"""
