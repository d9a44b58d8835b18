"""`barnabas doctor`: looks at a configuration, a machine or a running cluster, and says what is wrong.

`host/survey.py` and `running.py` look; the other modules judge what was seen and are pure.
"""
