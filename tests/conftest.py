"""Makes the helpers of this folder (`tabular`) importable from every test."""
