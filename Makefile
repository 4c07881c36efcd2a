.PHONY: demo test slow

demo:
	./run demo

test:
	./run test

slow:
	./run test --slow
