import pytest


@pytest.fixture
def offline_cache(tmp_path, monkeypatch):
    """What the `datasets` library makes of a folder goes to a temporary one."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
