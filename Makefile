# The two commands of the README are `make demo` and `make test`. Both install what is missing, build, and run.
# `make check` is everything that must hold before a release.
PROGRAM := build/release/bin/gossamer
JOBS ?= $(shell nproc)

.PHONY: demo test build package sdk web check lint asan tsan fuzz arm clean

demo: build
	@$(PROGRAM) generate demo --prompt "What is the capital of France?"

test: build
	@ctest --preset release -j$(JOBS)

build:
	@tools/install_packages.sh build
	@test -f build/release/build.ninja || cmake --preset release --log-level=WARNING
	@cmake --build --preset release -j$(JOBS) -- --quiet

check: test sdk web lint asan tsan arm fuzz

# The Debian package, in build/package.
package: build
	@tools/install_packages.sh package
	@cpack --config build/release/CPackConfig.cmake -B build/package

# The OpenAI Python SDK and hostile sockets against the built program.
sdk: build
	@tests/sdk/run.sh $(PROGRAM)

lint:
	@tools/install_packages.sh build lint
	@tools/lint.sh

# Address and undefined-behaviour sanitizers over every test; of the fixtures' prompts the shorter ones.
asan:
	@tools/install_packages.sh build
	@cmake --preset asan --log-level=WARNING && cmake --build --preset asan -j$(JOBS) -- --quiet
	@GOSSAMER_TEST_MAX_TOKENS=300 ctest --preset asan -j$(JOBS)

# The thread sanitizer over what uses threads.
tsan:
	@tools/install_packages.sh build
	@cmake --preset tsan --log-level=WARNING
	@cmake --build --preset tsan -j$(JOBS) --target base_test backend_test engine_test http_test server_test -- --quiet
	@ctest --preset tsan -j$(JOBS) -R 'ThreadPool|Engine|Serving|NumberOfThreads|Http|Service|ModelHost' --no-tests=error

# Each fuzz target for FUZZ_SECONDS, from an empty corpus.
FUZZ_SECONDS ?= 60
fuzz:
	@tools/install_packages.sh build fuzz
	@cmake --preset fuzz --log-level=WARNING && cmake --build --preset fuzz -j$(JOBS) -- --quiet
	@tools/run_fuzzers.sh build/fuzz/bin $(FUZZ_SECONDS)

# The rooms below the program for Arm, the tests of its kernels under emulation. With ARM_MAX_TOKENS=5000 they take
# the fixtures' longest prompts too, which is half an hour.
ARM_MAX_TOKENS ?= 130
arm:
	@tools/install_packages.sh build arm
	@cmake --preset arm --log-level=WARNING && cmake --build --preset arm -j$(JOBS) -- --quiet
	@GOSSAMER_TEST_MAX_TOKENS=$(ARM_MAX_TOKENS) ctest --preset arm -j$(JOBS) -R neon --no-tests=error

# The chat page in headless Chromium; needs no build. tests/web/run.sh URL tests the page of a running server.
web:
	@tests/web/run.sh

clean:
	rm -rf build
