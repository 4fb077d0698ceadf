"""What was measured, as one flat table: group, case, handler, metric, unit, values of the rounds."""
import csv
import statistics

FIELDS = ("group", "case", "handler", "metric", "unit", "round", "value")


class Results:
    """Values in the order in which they were first seen."""

    def __init__(self):
        self.values, self.units, self.runs = {}, {}, {}

    def add(self, group, case, handler, metric, unit, value):
        self.values.setdefault((group, case, handler, metric), []).append(float(value))
        self.units[group, metric] = unit

    def note(self, group, key, text):
        """A word on how `group` was measured."""
        self.runs.setdefault(group, {})[key] = text

    def forget(self, group):
        self.values = {key: values for key, values in self.values.items() if key[0] != group}
        self.runs.pop(group, None)

    def get(self, group, case, handler, metric):
        return self.values.get((group, case, handler, metric))

    def median(self, group, case, handler, metric):
        values = self.get(group, case, handler, metric)
        return statistics.median(values) if values else None

    def ratio(self, group, case, metric, handler, peer):
        ours, theirs = (self.median(group, case, name, metric) for name in (handler, peer))
        return ours / theirs if ours is not None and theirs else None

    def cases(self, group):
        return list(dict.fromkeys(key[1] for key in self.values if key[0] == group))

    def handlers(self, group, case=None):
        return list(dict.fromkeys(key[2] for key in self.values if key[0] == group and case in (None, key[1])))

    def write(self, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(FIELDS)
            for group, notes in self.runs.items():
                for key, text in notes.items():
                    out.writerow([group, "", "", key, "note", "", text])
            for (group, case, handler, metric), values in self.values.items():
                for number, value in enumerate(values, 1):
                    out.writerow([group, case, handler, metric, self.units[group, metric], number, f"{value:.6g}"])

    @classmethod
    def read(cls, path):
        results = cls()
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["unit"] == "note":
                    results.note(row["group"], row["metric"], row["value"])
                else:
                    results.add(*(row[field] for field in FIELDS[:5]), row["value"])
        return results
