"""Train flowseg-nano on a CPU within a budget of minutes.

    python train.py --data train0 --weights ../weights/flowseg-nano --run run --minutes 90

Two processes (`--workers`) of one thread each take half a batch and average their gradients: small operators
gain nothing from a second thread. The schedule is a function of elapsed minutes / budget. State goes to RUN/last.pt every few minutes and is
resumed from there; RUN/log.jsonl has one line every 20 steps.
"""

import argparse
import json
import math
import os
import socket
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import batched
import fast
from data import Batch, Loader, Prompt, Scenes
from flowseg import FlowSeg, load_config
from losses import Help, by_object, coarser, segmentation


def losses_of(model: FlowSeg, help: Help, batch: Batch, before: torch.Tensor, w: dict) -> tuple[torch.Tensor, dict]:
    c = model.config
    losses, seen = {}, {}
    labels, boxes, target = batch.labels, batch.boxes, batch.target
    B, N, T = batch.tokens.shape

    # 1. Image, and what its tokens should know
    look = model.look(batch.semantic, batch.pixels)
    step = batch.ids.shape[-1] // look.taps[0].shape[1]
    ids = batch.ids[:, step // 2 :: step, step // 2 :: step]
    dense = lambda head, x, i: head.loss(x, by_object(labels, i), by_object(boxes, i))
    if w["dense"] > 0:
        for i, head in help.taps.items():
            losses[f"tap{i}"], seen[f"tap{i}"] = dense(head, look.taps[int(i) - 1], ids)
        losses["level"], _ = dense(help.level, look.levels[1].unflatten(1, look.shapes[1]), ids)
        cells = coarser(ids)
        rows = look.rows[:, -cells[0].numel() :]
        losses["rows"], seen["rows"] = dense(help.rows, rows.unflatten(1, cells.shape[1:]), cells)

    # 2. Sentences
    states, prefix = batched.read(model, look.rows, before, batch.tokens)
    final = states[-1][:, prefix:].unflatten(1, (N, T))
    S, C, valid = batched.conditions(model, final, batch.last, batch.span)
    own_labels, own_boxes = by_object(labels, target), by_object(boxes, target)
    seg = final.gather(2, batch.last[..., None, None].expand(B, N, 1, final.shape[-1]))[:, :, 0]
    end = final.gather(2, batch.span[..., 1:, None].expand(B, N, 1, final.shape[-1]))[:, :, 0]
    if w["ground"] > 0:
        losses["s"], seen["s"] = help.s.loss(S, own_labels, own_boxes)
        losses["end"], _ = help.close.loss(end, own_labels, own_boxes)
        cells = coarser(ids).flatten(1)
        keys = help.key(states[-2][:, prefix - cells.shape[1] : prefix])
        score = torch.einsum("bnc,bmc->bnm", help.query(seg), keys).float() / 8
        truth = (cells[:, None] == target[..., None]).float()
        spread = truth / truth.sum(-1, keepdim=True).clamp(min=1)
        losses["point"] = -(spread * score.log_softmax(-1)).sum(-1).mean()
        seen["point"] = truth.gather(2, score.argmax(-1, keepdim=True)).mean()

    # 3. The answer, next token by next token
    back = torch.arange(1, 4)
    at = (batch.last[..., None] - back)[..., None].expand(B, N, 3, final.shape[-1])
    said = model.llm.logits(final.gather(2, at)).float()
    meant = batch.tokens.gather(2, batch.last[..., None] - back + 1)
    losses["answer"] = 0.1 * F.cross_entropy(said.flatten(0, 2), meant.flatten())

    # 4. Masks: of the sentences, and of objects an oracle names
    if w["oracle"] > 0:
        count = (boxes[..., 2] > 0).sum(1)
        pick = torch.rand(B, boxes.shape[1] - 1).masked_fill(
            torch.arange(boxes.shape[1] - 1) >= count[:, None], 9).argsort(1)[:, : w["oracle"]] + 1
        pick = torch.where(pick <= count[:, None], pick, pick[:, :1])
        So, Co = help.prompt(by_object(labels, pick), by_object(boxes, pick))
        mine, _ = help.prompt(own_labels, own_boxes)
        if w["follow"] > 0:
            losses["follow"] = w["follow"] * F.mse_loss(S, mine.detach()) / mine.detach().var().clamp(min=1e-3)
    if w["words"]:
        predictions = batched.decode(model, look, S, C, valid)
        for k, v in segmentation(model, batch, look.mask_features, predictions, target, w["refine"]).items():
            (seen if k in ("iou", "oracle") else losses)[k] = v
    if w["oracle"] > 0:
        predictions = batched.decode(model, look, So, Co, None)
        for k, v in segmentation(model, batch, look.mask_features, predictions, pick, w["refine"]).items():
            (seen if k in ("iou", "oracle") else losses)["o_" + k] = v

    # 5. Weights as in the paper (class 2, BCE 5, dice 5), help on top
    scale = {"class": 2, "bce": 5, "dice": 5, "rim": 5, "o_class": 2, "o_bce": 5, "o_dice": 5, "o_rim": 5}
    scale |= {k: w["dense"] for k in losses if k.startswith(("tap", "level", "rows"))}
    scale |= {k: w["ground"] for k in ("s", "end", "point")}
    deep = len(model.segmentor.decoder.decoder.layers) + 1
    total = 0
    for k, v in losses.items():
        v = v / deep if k.removeprefix("o_") in ("class", "bce", "dice") else v
        total = total + scale.get(k, 1) * v
    return total, {k: float(v.detach()) for k, v in (losses | seen).items()}


def weights_at(t: float) -> dict:
    """Curriculum over progress t in 0..1"""
    return {
        "dense": 1.0 if t < 0.3 else max(0.2, 1 - 2 * (t - 0.3)),
        "ground": 1.0 if t < 0.4 else max(0.3, 1 - 2 * (t - 0.4)),
        "oracle": 6 if t < 0.12 else 3 if t < 0.35 else 0,
        "follow": 1.0 if t < 0.35 else 0.0,
        "words": t > 0.04,
        "refine": t > 0.5,
    }


def rate_at(t: float, step: int) -> float:
    return min(1, (step + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, t))))


def average_gradients(parameters: list[torch.Tensor], workers: int) -> None:
    """Sum over workers / workers, as one flat buffer; a parameter unused in this step counts as zero"""
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.view(-1) for p in parameters])
    torch.distributed.all_reduce(flat)
    flat /= workers
    for p, g in zip(parameters, flat.split([p.numel() for p in parameters])):
        p.grad.copy_(g.view_as(p))


def save(path: Path, state: dict) -> None:
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--weights", required=True, help="folder of config.json and tokenizer.json")
    parser.add_argument("--run", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sentences", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many, for profiling")
    parser.add_argument("--start", type=float, default=0, help="progress to start the schedule from")
    args = parser.parse_args()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(work, (args, port), args.workers)


def work(rank: int, args: argparse.Namespace, port: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=args.workers)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    fast.enable()
    is_first = rank == 0

    config = load_config(Path(args.weights) / "config.json")
    prompt = Prompt(args.weights, config)
    assert config["llm"]["vocab"] == prompt.tokenizer.get_vocab_size(), "llm.vocab differs from the tokenizer"
    folders = [Scenes(args.data[0])]
    folders += [Scenes(f, folders[0].categories) for f in args.data[1:]]
    loader = Loader(folders, prompt, config["siglip"]["image"], args.batch // args.workers,
                    args.sentences, args.seed, rank, args.workers)
    before = torch.tensor(prompt.before)

    model = FlowSeg(config)
    help = Help(config, len(folders[0].categories))
    parameters = [*model.named_parameters(), *(("help." + n, p) for n, p in help.named_parameters())]
    plain = [p for n, p in parameters if p.ndim < 2 or "embed" in n or "rel_pos" in n or "names" in n]
    decayed = [p for n, p in parameters if not any(p is q for q in plain)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=args.rate, betas=(0.9, 0.98), fused=True)
    average = {k: v.clone() for k, v in model.state_dict().items()}

    # Resume
    run = Path(args.run)
    run.mkdir(parents=True, exist_ok=True)
    step, used = 0, 60 * args.minutes * args.start
    if (run / "last.pt").exists():
        state = torch.load(run / "last.pt", weights_only=True)
        model.load_state_dict(state["model"])
        help.load_state_dict(state["help"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        average, step = state["average"], state["step"]
        used = state["used"] if not args.start else used
        loader.order = np.random.default_rng(args.seed + step)
        print("resumed at step", step, "used minutes", used / 60, flush=True)

    torch.manual_seed(1000 * args.seed + 10 * step + rank)
    begin, saved, told = time.time() - used, time.time(), time.time()
    log = (run / "log.jsonl").open("a")
    stop = run / "STOP"  # touch it to save and end after the current step
    sums: dict[str, list[float]] = {}
    for batch in loader:
        clock = torch.tensor([(time.time() - begin) / (60 * args.minutes), float(stop.exists())], dtype=torch.float64)
        torch.distributed.broadcast(clock, 0)
        t = float(clock[0])
        w = weights_at(t)
        rate = args.rate * rate_at(t, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            total, seen = losses_of(model, help, batch, before, w)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        average_gradients([p for _, p in parameters], args.workers)
        norm = float(torch.nn.utils.clip_grad_norm_([p for _, p in parameters], 5.0))
        if math.isfinite(norm):
            optimizer.step()
        step += 1
        done = t >= 1 or clock[1] > 0 or bool(args.steps and step >= args.steps)
        if not is_first:
            if done:
                break
            continue

        # The first worker keeps the average, the log and the state
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            live = dict(model.named_parameters())
            names = list(live)
            torch._foreach_lerp_([average[n] for n in names], [live[n].detach() for n in names], 1 - decay)

        for k, v in (seen | {"total": float(total.detach()), "norm": norm}).items():
            sums.setdefault(k, []).append(v)
        if step % 20 == 0:
            line = {"step": step, "t": round(t, 4), "minutes": round((time.time() - begin) / 60, 2),
                    "images/s": round(20 * args.batch / (time.time() - told), 2), "rate": round(rate, 6)}
            line |= {k: round(sum(v) / len(v), 4) for k, v in sums.items()}
            log.write(json.dumps(line) + "\n")
            log.flush()
            sums, told = {}, time.time()
        if done or time.time() - saved > 150:
            save(run / "last.pt", {"model": model.state_dict(), "help": help.state_dict(), "average": average,
                                   "optimizer": optimizer.state_dict(), "step": step, "used": time.time() - begin,
                                   "config": config, "categories": folders[0].categories})
            saved = time.time()
        if done:
            break


if __name__ == "__main__":
    main()
