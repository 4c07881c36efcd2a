.PHONY: demo check test slow

demo:
	./run demo

check:
	./run check

test:
	./run test

slow:
	./run test --slow
