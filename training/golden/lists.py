"""The answers to lists of categories, from the decoder on: semantic, instance and panoptic, in plain numpy, float64.

Written from the definition alone, pixel by pixel where that is the clearest: nothing here is shared with the engine.
All of it in both generations of X-SAM, `aaai` and `main`. Random logits come from streams; the small cases stand for the
constants, and hold their numbers themselves.
"""

import numpy as np

from .golden import Golden

SOURCE = "numpy, float64"
SURE = 1e-4  # a value that decides something is at least this far from where it would decide otherwise


class Unsure(Exception):
    """Rounding could decide: draw another case."""


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sure(gaps):
    if np.size(gaps) and np.min(np.abs(gaps)) < SURE:
        raise Unsure
    return True


def axis_weights(n: int, m: int) -> np.ndarray:
    """[m, n]: bilinear from n to m, align_corners false, no antialias."""
    weights = np.zeros((m, n))
    for i in range(m):
        s = min(max((i + 0.5) * n / m - 0.5, 0.0), n - 1.0)
        low = int(np.floor(s))
        high = min(low + 1, n - 1)
        weights[i, low] += 1 - (s - low)
        weights[i, high] += s - low
    return weights


def resize(x: np.ndarray, size) -> np.ndarray:
    return axis_weights(x.shape[0], size[0]) @ x @ axis_weights(x.shape[1], size[1]).T


def up(mask, place):
    return resize(mask, place["canvas"])


def unpad(x, place):
    h, w = place["crop"]
    return resize(x[:h, :w], place["size"])


def probabilities(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True))[:, :-1]


def semantic(logits, masks, place, compat):
    P = probabilities(logits)
    totals = []
    for k in range(P.shape[1]):
        if compat == "aaai":
            totals.append(unpad(sum(P[q, k] * sigmoid(up(m, place)) for q, m in enumerate(masks)), place))
        else:
            totals.append(sum(P[q, k] * sigmoid(unpad(up(m, place), place)) for q, m in enumerate(masks)))
    totals = np.stack(totals)
    if len(totals) > 1:
        ordered = np.sort(totals, 0)
        sure(1 - ordered[-2] / ordered[-1])
    return totals.argmax(0)


def box_of(inside):
    rows, cols = np.nonzero(inside)
    return [int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1] if len(rows) else None


def instances(logits, masks, place, compat, threshold, things):
    """[query, class, score, area, box], the surest first."""
    P = probabilities(logits)
    N, K = P.shape
    flat = sorted(range(N * K), key=lambda i: (-P.flat[i], i))
    if N * K > N:
        sure(P.flat[flat[N - 1]] - P.flat[flat[N]])
    found = []
    for i in flat[:N]:
        q, k = divmod(i, K)
        if compat == "main" and k not in things:
            continue
        L = unpad(up(masks[q], place), place)
        sure(L)
        inside = L > 0
        quality = (sigmoid(L) * inside).sum() / (inside.sum() + 1e-6)
        score = P[q, k] * quality
        if threshold > 0:
            sure(score - threshold)
        if score >= threshold:
            found.append([q, k, float(score), int(inside.sum()), box_of(inside)])
    found.sort(key=lambda row: (-row[2], row[0], row[1]))
    return found


def panoptic(logits, masks, place, threshold, stuff, rules):
    """The map of ids, and its segments [id, class, score, area]. By X-SAM's rules every pixel goes to the likeliest query;
    by ours to the likeliest of those whose mask it is in."""
    P = probabilities(logits)
    s, c = P.max(1), P.argmax(1)
    if threshold > 0:
        sure(s - threshold)
    kept = [q for q in range(len(s)) if s[q] > threshold]
    result = np.zeros(place["size"], int)
    if not kept:
        return result, []
    L = np.stack([unpad(up(masks[q], place), place) for q in kept])
    w = s[kept][:, None, None] * sigmoid(L)
    if rules == "own":
        sure(L)
        inside = L > 0
        w = np.where(inside, w, 0)
    else:
        sure(w - 0.5)
        inside = w >= 0.5
    if len(kept) > 1:
        ordered = np.sort(w, 0)
        best, second = ordered[-1], ordered[-2]
        sure(1 - second[best > 0] / best[best > 0])
    owner = np.where(w.max(0) > 0, w.argmax(0), -1)
    current, highest, fused, segments = 0, 0, {}, []
    for i, q in enumerate(kept):
        own, full = int((owner == i).sum()), int(inside[i].sum())
        if own == 0 or full == 0 or not float(np.float32(np.float32(own) / np.float32(full))) > 0.8:
            continue
        k = int(c[q])
        if rules == "xsam":
            current = fused[k] if k in fused else current + 1
            segments.append([current, k, round(float(s[q]), 6), own])
        elif k in fused:
            current = fused[k]
            entry = next(entry for entry in segments if entry[0] == current)
            entry[2], entry[3] = max(entry[2], float(s[q])), entry[3] + own
        else:
            highest += 1
            current = highest
            segments.append([current, k, float(s[q]), own])
        if k in stuff:
            fused[k] = current
        result[owner == i] = current
    return result, segments


def runs(labels) -> list:
    """[label, length] of each run, row-major."""
    flat, out = np.asarray(labels).ravel(), []
    for label in flat:
        if out and out[-1][0] == int(label):
            out[-1][1] += 1
        else:
            out.append([int(label), 1])
    return out


def answers(logits, masks, place, things, stuff, thresholds):
    """All answers to one case."""
    out = {"semantic": {c: runs(semantic(logits, masks, place, c)) for c in ("aaai", "main")}}
    out["instance"] = [
        dict(compat=c, threshold=t, instances=instances(logits, masks, place, c, t, things))
        for c in ("aaai", "main")
        for t in thresholds
    ]
    out["panoptic"] = []
    for rules in ("own", "xsam"):
        for t in thresholds:
            labels, segments = panoptic(logits, masks, place, t, stuff, rules)
            out["panoptic"].append(dict(rules=rules, threshold=t, labels=runs(labels), segments=segments))
    return out


PLACES = [
    dict(map=[16, 16], canvas=[128, 128], crop=[89, 128], size=[25, 36]),  # wide, smaller than the canvas
    dict(map=[16, 16], canvas=[128, 128], crop=[128, 61], size=[47, 23]),  # tall, odd
    dict(map=[16, 16], canvas=[32, 32], crop=[32, 32], size=[32, 32]),  # neither cropped nor resized at the end
]


def lists(_small) -> Golden:
    golden = Golden(
        "lists", SOURCE,
        "Answers to lists of categories from random logits: class logits [N, K + 1], the background last, and mask logits. "
        "Maps are runs [label, length]. The small cases hold their numbers; their masks are 20 in the columns inside, else -20.",
    )  # fmt: skip
    cases = []
    for i, place in enumerate(PLACES):
        N, K, things = (20, 5, [0, 1, 2]) if i < 2 else (7, 3, [0, 1])
        for draw in range(100):
            names = (f"classes{i}-{draw}", f"masks{i}-{draw}")
            logits = golden.input(names[0], [N, K + 1], "N C", 4.0).numpy()
            masks = golden.input(names[1], [N, *place["map"]], "N H W", 6.0, -1.0).numpy()
            try:
                stuff = [k for k in range(K) if k not in things]
                found = answers(logits, masks, place, things, stuff, (0.0, 0.3, 0.5))
            except Unsure:
                for name in names:
                    del golden.inputs[name]
                continue
            cases.append(dict(name=f"random {i}", classes=names[0], masks=names[1], place=place, things=things, **found))
            break
        else:
            raise Unsure(f"lists: no draw of case {i} is sure")
    for case in cases:
        golden.fact(case.pop("name"), case)
    for name, logits, width, inside, things, thresholds in small_cases():
        side = width + width % 2  # the image is the first row of a canvas that is as large as the map
        place = dict(map=[side, side], canvas=[side, side], crop=[1, width], size=[1, width])
        masks = np.array([[[20.0 if x in xs else -20.0 for x in range(side)]] * side for xs in inside])
        x = np.array(logits, float).astype(np.float32)
        K = x.shape[1] - 1
        stuff = [k for k in range(K) if k not in things]
        found = answers(x.astype(float), masks, place, things, stuff, thresholds)
        values = dict(logits=[[float(f"{v:.9g}") for v in row] for row in x], inside=[sorted(xs) for xs in inside])
        golden.fact(name, dict(**values, place=place, things=things, **found))
    return golden


def rows_of(scores, K):
    """Class logits of queries: each its class and the probability of it, the rest the background's."""
    rows = []
    for k, s in scores:
        p = np.full(K + 1, 1e-9)
        p[k], p[K] = s, 1 - s
        rows.append(np.log(p))
    return rows


def small_cases():
    """The constants: name, class logits, pixels in a row, those inside of each mask, things, thresholds."""
    both = rows_of([(0, 0.9), (1, 0.95)], 2)
    yield "alone at 0.49", rows_of([(0, 0.49)], 1), 3, [range(3)], [0], (0.0,)
    yield "alone at 0.51", rows_of([(0, 0.51)], 1), 3, [range(3)], [0], (0.0, 0.5)
    yield "owns 4 of 5", both, 5, [range(5), [4]], [0, 1], (0.5,)
    yield "owns 79 of 100", both, 100, [range(100), range(79, 100)], [0, 1], (0.5,)
    yield "owns 80 of 100", both, 100, [range(100), range(80, 100)], [0, 1], (0.5,)
    turns = [(2, 0.9), (0, 0.91), (2, 0.92), (1, 0.93)]
    yield "ids collide", rows_of(turns, 3), 4, [[0], [1], [2], [3]], [0, 1], (0.5,)
    yield "nothing kept", rows_of([(0, 0.3), (1, 0.2)], 2), 4, [[0, 1], [2]], [0], (0.5,)
    yield "background larger", [[0.0, 0.4]], 4, [[1, 2]], [0], (0.3,)
    yield "empty masks", rows_of([(0, 0.9), (1, 0.8)], 2), 4, [[], [0]], [0, 1], (0.0, 0.5)
    twice = [np.log([0.501, 0.3, 0.199]), np.log([0.2, 0.6, 0.2])]
    yield "a query twice", twice, 4, [[0, 1], [2]], [0, 1], (0.0,)
    yield "stuff fused", rows_of([(1, 0.8), (0, 0.9), (1, 0.95)], 2), 6, [[0, 1], [2, 3], [4]], [0], (0.5,)


FILES = [lists]
