"""Reads a heap profile as pprof does, and prints a line per sample, for profile.sh:

    alloc_objects alloc_space inuse_objects inuse_space LABEL=VALUE,... FUNCTION<FUNCTION...

The innermost function comes first; its name is the symbol of the program's own file, else "?".  Fails if anything in the
file is not as profile.proto has it: https://github.com/google/pprof/blob/main/proto/profile.proto
"""

import gzip
import subprocess
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def fields(data):
    """The (number, value) of a message's fields, in order: whole numbers, or the bytes of strings and messages."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            value = data[at:at + length]
            assert len(value) == length, "a field is cut off"
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def numbers(data):
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


class Profile:
    def __init__(self, path):
        self.strings, self.types, self.samples, self.mappings, self.locations = [], [], [], {}, {}
        for number, value in fields(gzip.open(path).read()):
            if number == 1:
                self.types.append(dict(fields(value)))
            elif number == 2:
                self.samples.append(self.sample(value))
            elif number == 3:
                mapping = dict(fields(value))
                self.mappings[mapping[1]] = mapping
            elif number == 4:
                location = dict(fields(value))
                self.locations[location[1]] = location
            elif number == 6:
                self.strings.append(value.decode())
        names = [self.strings[kind[1]] for kind in self.types]
        assert names == ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"], names
        assert self.strings[0] == ""

    @staticmethod
    def sample(data):
        stack, values, labels = [], [], []
        for number, value in fields(data):
            if number == 1:
                stack += numbers(value)
            elif number == 2:
                values += numbers(value)
            elif number == 3:
                labels.append(dict(fields(value)))
        assert len(values) == 4, values
        return stack, values, labels


def symbols(path):
    """Address and name of each function in a file, in rising order."""
    lines = subprocess.run(["nm", "-n", path], capture_output=True, text=True, check=False).stdout.splitlines()
    parts = [line.split() for line in lines]
    return [(int(part[0], 16), part[2]) for part in parts if len(part) == 3 and part[1] in "tT"]


def main():
    path, program = sys.argv[1:]
    profile = Profile(path)
    known = symbols(program)

    def function(number):
        location = profile.locations[number]
        mapping = profile.mappings.get(location.get(2))
        if mapping is None or not profile.strings[mapping[5]].endswith(program.rsplit("/", 1)[-1]):
            return "?"
        assert mapping[2] <= location[3] < mapping[3], "a location outside of its mapping"
        address = location[3] - mapping[2] + mapping.get(4, 0)
        names = [name for start, name in known if start <= address]
        return names[-1] if names else "?"

    for stack, values, labels in profile.samples:
        text = ",".join(f"{profile.strings[label[1]]}={profile.strings[label[2]]}" for label in labels)
        print(*values, text.replace(" ", "-"), "<".join(function(number) for number in stack))


main()
