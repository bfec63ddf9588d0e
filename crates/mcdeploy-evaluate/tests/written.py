"""Writes Parquet files as people's programs do, into the directory that is named.

Also made the fixture: python3 written.py --fixture fixtures/p.parquet
"""

import datetime
import decimal
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 7


def plain():
    """Every kind of value that is read; nothing in the second row where there may be none."""
    numbers = range(ROWS)

    def gap(values):
        return [None if row == 1 else value for row, value in enumerate(values)]

    utc = datetime.timezone.utc
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "label": pa.array(["ham", "spam"] * 3 + ["ham"]).dictionary_encode(),
            "text": pa.array(gap([f"ü{n}, \"{n}\"" for n in numbers])),
            "large": pa.array(gap([f"l{n}" for n in numbers]), pa.large_string()),
            "flag": pa.array(gap([n % 2 == 0 for n in numbers])),
            "small": pa.array(gap([-n for n in numbers]), pa.int8()),
            "unsigned": pa.array(gap([4294967290 + n - 2 for n in numbers]), pa.uint32()),
            "single": pa.array(gap([n / 10 for n in numbers]), pa.float32()),
            "double": pa.array(gap([n / 10 for n in numbers]), pa.float64()),
            "half": pa.array(gap([n / 2 for n in numbers]), pa.float16()),
            "day": pa.array(gap([datetime.date(2026, 11, 24 + n) for n in numbers])),
            "moment": pa.array(
                gap([datetime.datetime(2026, 11, 30, n, tzinfo=utc) for n in numbers]),
                pa.timestamp("us", tz="UTC"),
            ),
            "clock": pa.array(
                gap([datetime.datetime(2026, 11, 30, n) for n in numbers]),
                pa.timestamp("ns"),
            ),
            "amount": pa.array(
                gap([decimal.Decimal(n - 3) / 4 for n in numbers]), pa.decimal128(9, 2)
            ),
            "nothing": pa.nulls(ROWS),
            "__index_level_0__": pa.array(numbers, pa.int64()),
        }
    )


def main(directory):
    table = plain()
    for codec in ("none", "snappy", "gzip", "zstd"):
        for pages in ("1.0", "2.0"):
            for dictionary in (True, False):
                name = f"{directory}/good-{codec}-{pages}-{dictionary}.parquet"
                pq.write_table(
                    table,
                    name,
                    compression=codec,
                    data_page_version=pages,
                    use_dictionary=dictionary,
                    row_group_size=3,
                )
    pq.write_table(table, f"{directory}/good-legacy.parquet", version="1.0",
                   use_deprecated_int96_timestamps=True)
    pq.write_table(table, f"{directory}/good-split.parquet", use_dictionary=False,
                   column_encoding={"double": "BYTE_STREAM_SPLIT", "id": "DELTA_BINARY_PACKED",
                                    "text": "DELTA_BYTE_ARRAY"})
    bad = {
        "list": pa.array([[0.5, 0.5]] * ROWS),
        "structure": pa.array([{"a": 1, "b": 2}] * ROWS),
        "map": pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
        "time": pa.array([datetime.time(1, 2)] * ROWS),
        "binary": pa.array([b"\xff\xfe"] * ROWS, pa.binary()),
    }
    for name, column in bad.items():
        both = pa.table({"id": pa.array(range(ROWS)), "p": column})
        pq.write_table(both, f"{directory}/bad-{name}.parquet")
    ids = table.select(["id"])
    for codec in ("lz4", "brotli"):
        pq.write_table(ids, f"{directory}/bad-{codec}.parquet", compression=codec)
    pq.write_table(ids.slice(0, 0), f"{directory}/bad-empty.parquet")
    twice = pa.table([pa.array([1]), pa.array([2])], names=["p", "p"])
    pq.write_table(twice, f"{directory}/bad-twice.parquet")
    # Little on disk, and much when it is unpacked.
    wide = pa.table({"p": pa.repeat(pa.scalar("yes" * 10), 2_000_000)})
    pq.write_table(wide, f"{directory}/bad-bomb.parquet", row_group_size=2_000_000)


if sys.argv[1] == "--fixture":
    pq.write_table(
        pa.table(
            {
                "id": pa.array([1, 2, 3], pa.int64()),
                "prediction": pa.array(["ham", "spam", "ham"]).dictionary_encode(),
                "probability": pa.array([0.1, 0.75, 0.2], pa.float64()),
            }
        ),
        sys.argv[2],
        compression="snappy",
    )
else:
    main(sys.argv[1])
