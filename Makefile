# nmbackupfs
#
#   make            build the program
#   make demo       the whole path on this machine, no account needed
#   make test       the tests; the last line is the count
#   make check-all  the same under sanitizers and valgrind, in all
#                   configurations; takes an hour
#   make soak       the simulation for an hour (SECS=3600), then suites that
#                   others wrote, and files held open for an hour
#   make test-live CLIENT_ID=...   on a real account: tests/live/README.md
#   make help       all targets
#
# Variables: CC, CPPFLAGS, CFLAGS, LDFLAGS, PREFIX, DESTDIR (and the directories
# below), WERROR= (empty: warnings don't stop the build),
# SAN=address|thread|undefined (a build of its own under build/), CRASH=1
# (another one, by `make crash`: tests/crash), V=1 (show commands).

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/nmbackupfs
PKGDATADIR ?= $(PREFIX)/share/nmbackupfs
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR ?= $(PREFIX)/lib/systemd/user
SAN ?=
CRASH ?=
STATIC ?=
WERROR ?= -Werror
PYTHON ?= /usr/bin/python3

ifeq ($(origin CC),default)
CC := gcc
endif

version := 0.1.0
variant := $(notdir $(firstword $(CC)))$(if $(SAN),-$(SAN))$(if $(CRASH),-crash)$(if $(STATIC),-static)
B := build/$(variant)

ifneq ($(V),1)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

# ---- what may be missing on a fresh machine ---------------------------

pkgs := fuse3 libcurl libcjson libsodium sqlite3 libutf8proc libxxhash
pkgs_graphd := libmicrohttpd gnutls
optional := libqrencode $(if $(STATIC),,libsecret-1 gio-unix-2.0)

missing = $(shell for p in $(1); do \
	pkg-config --exists $$p 2>/dev/null || printf '%s ' $$p; done)
pkg_missing := $(strip $(call missing,$(pkgs)))
graphd_missing := $(strip $(call missing,$(pkgs_graphd)))
pkg_have := $(filter-out $(call missing,$(optional)),$(optional))

# ---- flags -------------------------------------------------------------

warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wwrite-strings -Wcast-qual -Wundef -Wvla -Wformat=2 $(WERROR)

CFLAGS ?= -O2 -g
std := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
harden := -fPIE -fstack-protector-strong -fno-strict-overflow
ifeq ($(SAN),)
harden += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
ldharden := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

ifeq ($(SAN),address)
sanflags := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
endif
ifeq ($(SAN),undefined)
sanflags := -fsanitize=undefined -fno-sanitize-recover=all
endif
ifeq ($(SAN),thread)
sanflags := -fsanitize=thread -fno-omit-frame-pointer
endif
# For tests/fuzz, by clang; `make fuzz` sets both.
ifeq ($(SAN),fuzz)
sanflags := -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
endif

pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs = $(shell pkg-config --libs $(1) 2>/dev/null)

CPPFLAGS ?=
defs := -DFUSE_USE_VERSION=314 -DNMB_VERSION='"$(version)"'
defs += $(if $(CRASH),-DNMB_CRASH=1)
defs += $(if $(filter libqrencode,$(pkg_have)),-DHAVE_QRENCODE=1)
defs += $(if $(filter libsecret-1,$(pkg_have)),-DHAVE_LIBSECRET=1)
defs += $(if $(filter gio-unix-2.0,$(pkg_have)),-DHAVE_GIO=1)

all_pkgs := $(pkgs) $(pkg_have)
cflags := $(std) $(warnings) $(harden) $(sanflags) $(defs) -I. \
	$(call pkg_cflags,$(all_pkgs)) -MMD -MP -pthread \
	-ffile-prefix-map=$(CURDIR)=.
ldflags := $(sanflags) $(ldharden) -pthread
libs := $(call pkg_libs,$(all_pkgs)) -lm

# For `make tarball`: what Debian has archives of is linked in, what can be taken
# along lies beside the program (contrib/tarball.md).
ifneq ($(STATIC),)
archives := fuse3 libsodium sqlite3 libutf8proc libxxhash
libs := -Wl,-Bstatic $(call pkg_libs,$(archives)) -Wl,-Bdynamic \
	$(call pkg_libs,$(filter-out $(archives),$(all_pkgs))) -lm \
	-Wl,-rpath,'$$ORIGIN/../lib/nmbackupfs'
endif

# ---- what is built -----------------------------------------------------

net_src := $(sort $(wildcard net/*.c))
auth_src := $(sort $(wildcard auth/*.c))
fs_src := $(filter-out fs/main.c,$(sort $(wildcard fs/*.c)))
graphd_src := $(sort $(wildcard tests/graphd/*.c))
sim_src := $(sort $(wildcard tests/sim/*.c))
crash_src := $(if $(CRASH),tests/crash/points.c)
posix_src := $(sort $(wildcard tests/posix/*.c))
unit_src := $(sort $(wildcard tests/unit/test_*.c))
unit_help := $(filter-out $(unit_src),$(sort $(wildcard tests/unit/*.c)))

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
lib_objs := $(call obj,$(net_src) $(auth_src) $(fs_src))
fuzz_src := $(sort $(wildcard tests/fuzz/fuzz_*.c))
fuzz_bins := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(fuzz_src))
unit_bins := $(patsubst tests/unit/%.c,$(B)/unit/%,$(unit_src))

.DEFAULT_GOAL := all
.PHONY: all man help check-pkgs check-graphd-pkgs crash graphd agetool posix unit \
	sim soak test test-live check-all demo sandbox bench fuzz fuzz-build lint flags \
	format install uninstall clean
.SECONDARY:

# build/nmbackupfs, the name people and scripts use, is the last variant built.
# The manual comes along, so that `make install` by root builds nothing.
all: $(B)/nmbackupfs $(if $(SAN)$(CRASH),,man)
	$(if $(STATIC),,@ln -sfn $(variant)/nmbackupfs build/nmbackupfs)

check-pkgs check-graphd-pkgs:
	@for p in $(missing_here); do \
		echo "missing library: $$p" \
		"($$(contrib/install-deps.sh --package-of $$p))" >&2; done
	@$(if $(missing_here),echo "contrib/install-deps.sh installs" \
		"what is missing" >&2; exit 1)
check-pkgs: missing_here := $(pkg_missing)
check-graphd-pkgs: missing_here := $(graphd_missing)

$(B)/obj/%.o: %.c | check-pkgs
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(cflags) -c -o $@ $<

$(B)/libnmb.a: $(lib_objs)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/nmbackupfs: $(B)/obj/fs/main.o $(call obj,$(crash_src)) $(B)/libnmb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) -o $@ $^ $(libs)

# The program that can be made to die; `make crash` sets CRASH.
crash:
	$(Q)$(MAKE) --no-print-directory CRASH=1 build/$(variant)-crash/nmbackupfs

graphd: $(if $(wildcard tests/graphd/main.c),$(B)/graphd)

$(call obj,$(graphd_src)): | check-graphd-pkgs
$(call obj,$(graphd_src)): cflags += $(call pkg_cflags,$(pkgs_graphd))

# An archive, so that a unit test links only the parts it is about.
$(B)/libgraphd.a: $(call obj,$(filter-out tests/graphd/main.c,$(graphd_src)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/graphd: $(B)/obj/tests/graphd/main.o $(B)/libgraphd.a $(B)/libnmb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) -o $@ $^ $(libs) \
		$(call pkg_libs,$(pkgs_graphd))

# What tests/interop has beside it: auth/age as a command.
agetool: $(B)/agetool
$(B)/agetool: $(B)/obj/tests/interop/agetool.o $(B)/libnmb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) -o $@ $^ $(libs)

# Every POSIX call on every kind of node, on a mount that tests/e2e makes.
posix: $(B)/posix
$(B)/posix: $(call obj,$(posix_src))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) -o $@ $^

# Unit tests may make the n-th allocation fail (tests/unit/alloc.h).
wrap := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
unit: $(unit_bins) $(B)/sim
$(call obj,$(unit_src) $(unit_help)): | check-graphd-pkgs
$(call obj,$(unit_src) $(unit_help)): cflags += $(call pkg_cflags,$(pkgs_graphd))
$(B)/unit/%: $(B)/obj/tests/unit/%.o $(call obj,$(unit_help)) \
		$(B)/libgraphd.a $(B)/libnmb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) $(wrap) -o $@ $^ $(libs) \
		$(call pkg_libs,$(pkgs_graphd))

comma := ,
# The simulation brings its own network, clock and chance (tests/sim/net.c).
sim_wrap := $(addprefix -Wl$(comma)--wrap=,clock_mono_ms clock_real_ns \
	randombytes_random store_commit lock_take lock_drop lock_read \
	lock_write lock_rw_drop plan_next merge_next told_since)
sim: $(B)/sim
$(B)/sim: $(call obj,$(sim_src)) $(B)/libnmb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) $(sim_wrap) -o $@ $^ $(libs)

# Hours of it: other seeds each time, their number is printed first. Then what
# is in tests/soak, a sixtieth of that for each part of a suite, and what takes
# an hour whatever is asked.
soak: SECS ?= 3600
soak: sim crash graphd
	@from=$$(date +%s)000; echo "seeds from $$from on, $(SECS) s"; \
	$(B)/sim --corpus --jobs $$(nproc) --seconds $(SECS) $$from
	@NMB_SOAK_SECS=$$(($(SECS) / 60 + 5)) tests/run soak e2e-long
	@NMB_TEST_SEED=$$(date +%s) NMB_TEST_KILL_S=$$(($(SECS) / 10 + 20)) \
		$(PYTHON) -m pytest -q -rP tests/e2e/test_kills.py

# ---- tests -------------------------------------------------------------
# These install what is missing and then call make again, which looks for
# the libraries anew.

test check-all soak demo sandbox: export CC := $(CC)
test check-all soak demo sandbox: export PYTHON := $(PYTHON)

test:
	@tests/run

check-all:
	@tests/run all

# On a real account, with a sign-in by hand: tests/live/README.md.
ACCOUNT ?= personal
test-live: all
	@test -n "$(CLIENT_ID)" || { echo "make test-live CLIENT_ID=...: the" \
		"id of your app registration, see README.md" >&2; exit 2; }
	@$(PYTHON) tests/live/run --client-id "$(CLIENT_ID)" \
		--account "$(ACCOUNT)" --out "build/live-$(ACCOUNT).md" \
		$(LIVE_ARGS)

demo:
	@tests/demo

sandbox:
	@tests/sandbox $(DIR)

# Figures, not a test: they take long and want a machine to themselves.
passthrough := /usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
bench: all graphd $(B)/speed \
		$(if $(wildcard $(passthrough)),build/bench/passthrough_ll)
	@$(PYTHON) tests/bench/bench $(if $(TINY),--tiny, \
		$(if $(QUICK),--quick) --markdown tests/bench/RESULTS.md) \
		$(BENCH_ARGS)

$(B)/speed: $(B)/obj/tests/bench/speed.o $(B)/libnmb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) -o $@ $^ $(libs)

build/bench/passthrough_ll: $(passthrough)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -O2 -o $@ $< $(call pkg_cflags,fuse3) $(call pkg_libs,fuse3)

# Parsers of what others write, FUZZ_SECONDS (600) each; FUZZ="header armor"
# takes some of them.
fuzz:
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=fuzz fuzz-build
	@PYTHON=$(PYTHON) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run \
		build/clang-fuzz/fuzz $(FUZZ)

fuzz-build: $(fuzz_bins)
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(B)/libnmb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(ldflags) -fsanitize=fuzzer -o $@ $^ \
		$(libs)

lint:
	@tests/lint

flags: # what the linters compile with
	@echo $(filter-out -MMD -MP $(WERROR),$(cflags)) \
		$(call pkg_cflags,$(pkgs_graphd))

format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

# ---- the manual --------------------------------------------------------

# A program that runs here, to ask it for its help (cross-builds set another).
HELP_PROGRAM ?= $(B)/nmbackupfs
pages := $(patsubst contrib/man/%.in,$(B)/man/%,$(wildcard contrib/man/*.in))
man: $(pages)
$(B)/man/%: contrib/man/%.in contrib/man/make-page $(B)/nmbackupfs
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)contrib/man/make-page $(HELP_PROGRAM) $< >$@.tmp && mv $@.tmp $@

# ---- install -----------------------------------------------------------

# Links between them hold where they are installed, too.
docs := README.md CHANGELOG.md LICENSE $(wildcard contrib/systemd/*.example)
recipes := $(wildcard contrib/recipes/*)
units := $(wildcard contrib/systemd/*.service contrib/systemd/*.timer)
scripts := contrib/keystore-pass contrib/unseal-names.py \
	contrib/completions/complete
# How a shell wants the file to be called.
completions := bash:$(BASHDIR)/nmbackupfs zsh:$(ZSHDIR)/_nmbackupfs \
	fish:$(FISHDIR)/nmbackupfs.fish

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 \
		$(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(DOCDIR) \
		$(DESTDIR)$(PKGDATADIR)
	install -m 755 $(B)/nmbackupfs $(DESTDIR)$(BINDIR)/nmbackupfs
	for page in $(notdir $(pages)); do install -m 644 $(B)/man/$$page \
		$(DESTDIR)$(MANDIR)/man$${page##*.}/ || exit 1; done
	install -m 644 $(docs) $(DESTDIR)$(DOCDIR)/
	install -m 755 $(scripts) $(DESTDIR)$(PKGDATADIR)/
	install -d $(DESTDIR)$(DOCDIR)/contrib/recipes
	install -m 644 contrib/README.md $(DESTDIR)$(DOCDIR)/contrib/
	install -m 644 $(recipes) $(DESTDIR)$(DOCDIR)/contrib/recipes/
	$(if $(units),install -d $(DESTDIR)$(UNITDIR))
	for u in $(units); do sed 's|/usr/bin/nmbackupfs|$(BINDIR)/nmbackupfs|' \
			$$u >$(DESTDIR)$(UNITDIR)/$${u##*/} && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$${u##*/} || exit 1; done
	for c in $(completions); do \
		install -d "$(DESTDIR)$$(dirname $${c#*:})" && \
		sed 's|@COMPLETE@|$(PKGDATADIR)/complete|' \
			contrib/completions/nmbackupfs.$${c%%:*} \
			>"$(DESTDIR)$${c#*:}" && \
		chmod 644 "$(DESTDIR)$${c#*:}" || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/nmbackupfs
	rm -f $(foreach p,$(notdir $(pages)),$(DESTDIR)$(MANDIR)/man*/$(p))
	for c in $(completions); do rm -f "$(DESTDIR)$${c#*:}"; done
	rm -f $(foreach u,$(notdir $(units)),$(DESTDIR)$(UNITDIR)/$(u))
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)$(PKGDATADIR)

# ---- packages ----------------------------------------------------------

# The source, the same bytes from the same commit; what the others begin with.
dist_file := build/dist/nmbackupfs-$(version).tar.gz
.PHONY: dist deb tarball
dist:
	$(Q)contrib/make-dist $(version) $(dist_file)
	$(call say,DIST,$(dist_file))

tarball_name := nmbackupfs-$(version)-$(shell uname -m)
tarball: stage := build/tarball/stage
tarball:
	$(Q)rm -rf $(stage)
	$(Q)$(MAKE) --no-print-directory STATIC=1 PREFIX=/usr/local \
		DESTDIR=$(CURDIR)/$(stage) install >/dev/null
	$(Q)strip $(stage)/usr/local/bin/nmbackupfs
	$(Q)contrib/make-tarball $(version) $(stage) \
		build/tarball/$(tarball_name).tar.gz
	$(call say,TAR,build/tarball/$(tarball_name).tar.gz)

# Debian packages, unsigned, in build/deb; DEB_ARGS is for dpkg-buildpackage.
deb: dist
	$(Q)contrib/make-deb $(version) $(dist_file) build/deb $(DEB_ARGS)

clean:
	rm -rf build

help:
	@sed -n '3,16s/^# \{0,1\}//p' Makefile
	@echo "targets: all test test-live check-all demo sandbox bench fuzz" \
		"soak lint format man install uninstall dist deb tarball" \
		"clean"

-include $(patsubst %.o,%.d,$(lib_objs) $(call obj,fs/main.c $(graphd_src) \
	$(unit_src) $(unit_help) $(sim_src) $(posix_src) $(fuzz_src) \
	$(crash_src) tests/interop/agetool.c tests/bench/speed.c))
