import numpy as np
import pandas as pd
import pytest

from orchestrator.applications.tabular.profile import profile
from orchestrator.applications.tabular.split import LARGE, Split
from orchestrator.applications.tabular.table import read_table, table_of
from orchestrator.errors import UsageError

RNG = np.random.default_rng(0)
ROWS = 120
FRAME = pd.DataFrame(
    {
        "age": RNG.integers(18, 80, ROWS).astype(float),
        "town": RNG.choice(["Ulm", "Bonn", "Kiel"], ROWS),
        "income": RNG.choice(["low", "high"], ROWS),
    }
)


def csv(tmp_path, text, name="people.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return str(path)


def lines(separator=",", header="age,town,income", rows=ROWS):
    body = [separator.join(map(str, row)) for row in FRAME.iloc[:rows].itertuples(index=False)]
    return "\n".join([header.replace(",", separator), *body]) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator_is_read(tmp_path, separator):
    table = read_table(csv(tmp_path, lines(separator)), "income")
    assert (table.task, table.classes, list(table.features)) == ("classification", ("high", "low"), ["age", "town"])
    assert (len(table), table.features["age"].dtype) == (ROWS, np.float64)


def test_a_file_without_header_is_read_by_names_and_refused_without(tmp_path):
    path = csv(tmp_path, lines().partition("\n")[2])
    assert list(read_table(path, "income", names=["age", "town", "income"]).features) == ["age", "town"]
    with pytest.raises(UsageError, match="looks like data") as refused:
        read_table(path, "income")
    assert "--names" in refused.value.remedy


def test_missing_markers_and_blanks_around_values(tmp_path):
    text = "age, town, income\n" + "".join(
        f"{'?' if i % 4 == 0 else i}, {' NA' if i % 3 == 0 else 'Ulm'}, {'ab'[i % 2]}\n" for i in range(80)
    )
    table = read_table(csv(tmp_path, text), "income")
    assert table.features.isna().sum().to_dict() == {"age": 20, "town": 27}
    assert table.classes == ("a", "b")


REFUSED = {
    "no such column": (lambda: lines(), {"target": "incme"}, "no column 'incme'", "income"),
    "an empty file": (lambda: "", {}, "is empty", ""),
    "a header only": (lambda: "age,town,income\n", {}, "no rows", ""),
    "too few rows": (lambda: lines(rows=30), {}, "30 rows are too few", ""),
    "one class": (lambda: lines().replace("high", "low"), {}, "one class only", ""),
    "a target with gaps": (lambda: lines().replace("high", "?", 2), {}, "no value in 2 of 120 rows", ""),
    "mixed types": (
        lambda: lines().replace("\n", "\nabout forty,Ulm,low\n", 1),
        {},
        "mixes numbers with texts: 1 of 121",
        "--missing",
    ),
    "a rare class": (lambda: lines() + "40,Ulm,middle\n", {}, r"'middle' \(1\)", "Join"),
    "ragged lines": (lambda: lines() + "40,Ulm,low,more\n", {}, "cannot be read as a table", "same number of fields"),
    "zero bytes": (lambda: lines() + "\0", {}, "zero bytes", "Parquet"),
    "two columns of one name": (lambda: lines(header="age,age,income"), {}, "the same name: age", "--names"),
    "a text as number": (lambda: lines(), {"task": "regression"}, "holds texts", "--task classification"),
    "many classes": (lambda: lines(), {"target": "age", "task": "classification"}, "classes", "--task regression"),
    "names that do not fit": (lambda: lines(), {"names": ["a", "b"]}, "has 3 columns, and --names gives 2", ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_tables_are_refused_with_what_helps(tmp_path, case):
    text, options, message, remedy = REFUSED[case]
    with pytest.raises(UsageError, match=message) as refused:
        read_table(csv(tmp_path, text()), options.pop("target", "income"), **options)
    assert refused.value.remedy
    assert remedy in refused.value.remedy


def test_another_encoding_has_to_be_named(tmp_path):
    path = csv(tmp_path, lines().replace("Ulm", "Köln"), encoding="latin-1")
    with pytest.raises(UsageError, match="not text in utf-8-sig"):
        read_table(path, "income")
    assert "Köln" in set(read_table(path, "income", encoding="latin-1").features["town"])


def test_parquet_and_data_sets_of_scikit_learn(tmp_path):
    FRAME.to_parquet(tmp_path / "people.parquet")
    table = read_table(str(tmp_path / "people.parquet"), "income")
    pd.testing.assert_frame_equal(table.features, FRAME[["age", "town"]].astype({"town": object}))
    assert read_table("iris", "target").classes == ("setosa", "versicolor", "virginica")
    assert read_table("diabetes", "target").task == "regression"
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UsageError, match="no Parquet file"):
        read_table(str(tmp_path / "broken.parquet"), "income")
    with pytest.raises(UsageError, match="is no file") as refused:
        read_table("irs", "target")
    assert "iris" in refused.value.remedy


def test_what_only_numbers_the_rows_is_dropped():
    table = table_of(FRAME.assign(id=np.arange(ROWS) + 7), "income", name="people")
    assert (table.dropped, list(table.features)) == (("id",), ["age", "town"])


def repeated(rows=200):
    frame = FRAME.sample(rows, replace=True, random_state=0, ignore_index=True)
    return table_of(frame, "income", name="people")


@pytest.mark.parametrize("seed", range(5))
def test_rows_with_the_same_features_are_never_on_both_sides(seed):
    table = repeated()
    split = Split(table, seed=seed)
    keys = table.features.astype(str).agg("|".join, axis=1).to_numpy()
    folds = [*split.folds(), *split.folds(1), *split.halves(1), split.open_sealed()]
    for fold in folds:
        assert not set(keys[fold.train]) & set(keys[fold.held_out])
        assert set(table.y[fold.held_out]) == set(table.y) == set(table.y[fold.train])


def test_sealed_rows_are_in_no_fold_and_openings_are_counted():
    table = repeated()
    split = Split(table)
    seen = set(np.concatenate([np.concatenate([fold.train, fold.held_out]) for fold in split.folds() + split.halves()]))
    assert split.opened == 0
    sealed = set(split.open_sealed().held_out)
    assert not sealed & seen
    assert seen == set(split.rest)
    assert len(sealed) + len(seen) == len(table)
    assert split.opened == 1


def test_each_row_is_held_out_once_and_the_seed_is_private():
    split = Split(repeated(), seed=3)
    held_out = np.concatenate([fold.held_out for fold in split.folds()])
    assert sorted(held_out) == sorted(split.rest)
    assert Split(repeated()).seed != Split(repeated()).seed
    assert any(list(a.train) != list(b.train) for a, b in zip(split.folds(), Split(repeated(), seed=4).folds(), strict=True))


def test_a_large_table_is_searched_on_one_fold():
    rows = LARGE + 1
    frame = pd.DataFrame({"x": np.arange(rows) * 1.5, "y": RNG.normal(size=rows)})
    split = Split(table_of(frame, "y", name="large"))
    assert (len(split.search_folds()), len(split.folds())) == (1, 5)


def test_a_profile_says_what_a_person_should_know():
    frame = FRAME.assign(wage=np.where(FRAME.income == "high", 90.0, 10.0) + RNG.normal(size=ROWS), empty=np.nan, id=range(ROWS))
    frame.loc[frame.index[:30], "town"] = None
    found = profile(table_of(frame, "income", name="people"))
    assert any("'wage' alone gives the target away (ROC AUC 1.000)" in warning for warning in found.warnings)
    assert not any("'age' alone" in warning for warning in found.warnings)
    assert "Columns without any value: empty." in found.warnings
    text = found.text()
    assert (
        not profile(table_of(frame.assign(name=[f"Mr. {place}" for place in range(ROWS)]), "income", name="people"))
        .text()
        .count("Mr. ")
    )
    assert "120 rows. Target 'income' (classification): high" in text
    assert "- town (text, 3 distinct, 25% missing): " in text
    assert "id" not in [column.name for column in found.columns]
