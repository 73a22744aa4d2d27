# Every target runs in .venv, which `make install` creates. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seqrl needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,g2p,bible,music,slurm,hf]'
	@touch $@

.PHONY: install
install: $(STAMP)  ## create .venv with pinned versions

.PHONY: train
train: $(STAMP)  ## MLE, critic and ERAC on the built-in phrases; ends with a table
	@$(BIN)/seqrl-train algorithm=erac
	@echo
	@echo 'next:'
	@echo '  $(BIN)/seqrl-train algorithm=erac task=multi30k            # a real corpus'
	@echo '  $(BIN)/seqrl-train algorithm=erac task=text task.data_dir=DIR task.source=de task.target=en'
	@echo '  $(BIN)/seqrl-train -m algorithm=erac algorithm.tau=0.02,0.04 seed=1,2'

.PHONY: test
test: $(STAMP)  ## everything that must pass
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile -m 'not full and not faults' tests

.PHONY: test-full
test-full: $(STAMP)  ## the long versions of the tests too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile -m 'not faults' tests

.PHONY: test-faults
test-faults: $(STAMP)  ## kills, signals, damaged files, full disks; ends with the figures of docs/reliability.md
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist load tests/faults tests/training/test_resume.py

SEEDS ?= 1 2 3
ALGORITHMS ?= mle raml ac erac
EVERY_ALGORITHM := $(basename $(notdir $(wildcard conf/algorithm/*.yaml)))
SCALE ?= small
BENCHED = $(if $(DATA),experiment=multi30k task.data_dir=$(DATA),task=phrases)

comma := ,
empty :=
blank := $(empty) $(empty)
listed = $(subst $(blank),$(comma),$(strip $(1)))
compare = $(BIN)/seqrl-train -m algorithm=$(call listed,$(1)) seed=$(call listed,$(SEEDS)) $(2) $(if $(JOBS),launcher=local launcher.jobs=$(JOBS))

.PHONY: g2p
g2p: $(STAMP)  ## compare ALGORITHMS over SEEDS on letters to phonemes, JOBS at a time
	$(call compare,$(ALGORITHMS),experiment=g2p_small)

.PHONY: algorithms-table
algorithms-table: $(STAMP)  ## every algorithm over SEEDS on letters to phonemes: errors and minutes
	$(call compare,$(EVERY_ALGORITHM),experiment=g2p_small)
	$(BIN)/seqrl-report --final --split test outputs/g2p/*/*/seed*

.PHONY: multi30k
multi30k: $(STAMP)  ## compare ALGORITHMS over SEEDS on Multi30k; DATA=folder with tok/ and raw/, else the hub
	$(call compare,$(ALGORITHMS),experiment=multi30k task.data_dir=$(if $(DATA),$(DATA),null))

# The papers' tables. TASK= (at SCALE=paper iwslt14, at SCALE=small g2p; erpo-sum: gigaword_200k and aeslc),
# SCALE=paper|small|smoke, SEEDS='1 2 3', DATA=folder of the corpus, JOBS=runs at a time, DRY=1 to see what would be done.
# Arguments of `table`: its experiment, what SCALE=small and smoke change, the tasks of SCALE=paper and small, the smoke experiment.
TASK ?=
SMALL_g2p := g2p_small
SMALL_multi30k := multi30k_small
SMALL_aeslc := aeslc_small
SMALL_oracle := oracle_small
task = $(or $(TASK),$(if $(filter paper,$(SCALE)),$(or $(3),iwslt14),$(or $(4),g2p)))
USUAL_SEEDS := $(if $(filter paper,$(SCALE)),1 2 3 4 5 6 7 8 9,$(if $(filter smoke,$(SCALE)),1,1 2 3))
TABLE_SEEDS = $(if $(filter file,$(origin SEEDS)),$(USUAL_SEEDS),$(SEEDS))
setting = $(if $(filter smoke,$(SCALE)),$(or $(5),smoke),$(if $(filter small,$(SCALE)),$(SMALL_$(task))))
define table
@$(if $(filter paper small smoke,$(SCALE)),,$(error SCALE must be paper, small or smoke, not $(SCALE)))
@$(if $(filter small,$(SCALE)),$(if $(setting),,$(error SCALE=small knows TASK=g2p$(comma) TASK=multi30k$(comma) TASK=aeslc and TASK=oracle$(comma) not $(task))))
$(BIN)/seqrl-train -m 'experiment=$(if $(setting),[$(1)$(comma)$(setting)],$(1))' seed=$(call listed,$(TABLE_SEEDS)) \
  $(if $(setting),,task=$(task)) $(if $(filter paper,$(SCALE)),,$(2)) $(if $(DATA),task.data_dir='$(DATA)') \
  $(if $(JOBS),launcher=local launcher.jobs=$(JOBS)) $(if $(DRY),dry_run=true)
endef

.PHONY: table1 table3 table4 table7 figure1 erpo-mt erpo-sum seqgan-table
table1: $(STAMP)  ## MLE, RAML, VAML, AC, ERAC; at SCALE=paper without and with input feeding
	$(call table,table1,model.input_feeding=false)
table3: $(STAMP)  ## ERAC: the penalty on the critic's spread against the target's speed
	$(call table,table3)
table4: $(STAMP)  ## ERAC without future entropy, beside ERAC and AC
	$(call table,table4)
table7: $(STAMP)  ## MLE and ERAC with two layers
	$(call table,table7)
figure1: $(STAMP)  ## ERAC's temperature
	$(call table,figure1)
erpo-mt: $(STAMP)  ## MLE, scheduled sampling, RAML, interpolation and ERAC
	$(call table,erpo_mt)
erpo-sum: $(STAMP)  ## the same for summarization
	$(call table,erpo_sum,,gigaword_200k,aeslc,smoke_reports)
seqgan-table: $(STAMP)  ## MLE, scheduled sampling, PG-BLEU and SeqGAN against a random oracle
	$(call table,seqgan,algorithm=mle$(comma)scheduled_sampling$(comma)pg_bleu$(comma)seqgan,oracle,oracle)

melody = $(BIN)/seqrl-train -m task=melody seed=$(call listed,$(SEEDS)) $(1) $(if $(JOBS),launcher=local launcher.jobs=$(JOBS))

.PHONY: melody-table
melody-table: $(STAMP)  ## a note RNN, tutored by q, psi and g, by the reward alone, and by KL-control
	$(call melody,algorithm=mle)
	$(call melody,algorithm=rl_tuner algorithm.target=q$(comma)psi)
	$(call melody,algorithm=rl_tuner algorithm.target=g algorithm.values=separate)
	$(call melody,algorithm=rl_tuner algorithm.target=q algorithm.prior_weight=0)
	$(call melody,algorithm=kl_control algorithm.c=20)
	$(BIN)/seqrl-report --final --split test outputs/melody/*/*/seed*

.PHONY: bench
bench: $(STAMP)  ## time updates, decoding, rewards, data and start; on Multi30k with DATA=DIR
	$(BIN)/python scripts/bench $(BENCHED) --json outputs/bench.json

.PHONY: growth
growth: $(STAMP)  ## the cost of an update against length, batch, vocabulary and samples
	$(BIN)/python scripts/bench/growth.py --plot outputs/growth.png --json outputs/growth.json

PEERS := .venv-peers

$(PEERS)/.installed: constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check joeynmt==2.3.0 importlib_metadata
	@touch $@

.PHONY: bench-peers
bench-peers: $(STAMP) $(PEERS)/.installed  ## the same network beside JoeyNMT's, on the same batches
	$(BIN)/python scripts/bench/peers.py $(PEERS)/bin/python $(BENCHED) --json outputs/bench-peers.json

.PHONY: lint
lint: $(STAMP)  ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check src tests scripts
	$(BIN)/ruff format --check src tests scripts
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP)  ## let ruff format and sort imports
	$(BIN)/ruff check --fix src tests scripts
	$(BIN)/ruff format src tests scripts

.PHONY: wheel
wheel: $(STAMP)  ## build dist/*.whl, configuration included
	$(BIN)/python -m build --wheel --no-isolation

.PHONY: clean
clean:  ## remove caches and built files; outputs and .venv stay
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -prune -exec rm -rf {} +
