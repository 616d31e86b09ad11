/* tests/fuzz/fuzz.h -- what a fuzz target is.
 *
 * tests/fuzz/fuzz_NAME.c defines LLVMFuzzerTestOneInput(), which feeds the
 * bytes to a parser and checks what must be true of its answer with
 * FUZZ_CHECK(): mostly, that one content has one text. tests/fuzz/corpus/NAME
 * has its seeds; tests/fuzz/seed.py makes more. `make fuzz` runs all. */
#ifndef NMB_TESTS_FUZZ_H
#define NMB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define FUZZ_CHECK(cond)                                                       \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,     \
			        #cond);                                        \
			abort();                                               \
		}                                                              \
	} while (0)

#endif
