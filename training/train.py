"""Train flowseg-nano on a CPU within a budget of minutes.

    python train.py --data train0 --weights ../weights/flowseg-nano --run run --minutes 90

Two processes (`--workers`) of one thread each take half a batch and average their gradients: small operators
gain nothing from a second thread. The schedule is a function of elapsed minutes / budget, or of steps / --length. State
goes to RUN/last.pt every few minutes and is resumed from there; RUN/log.jsonl has one line every 20 steps. A new run can
begin with exported weights (--begin).
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
from data import Batch, Loader, Prompt
from flowseg import FlowSeg, load_config, load_weights
from losses import Help, by_object, coarser, outlines, segmentation
from own_data import open_data


def see(model: FlowSeg, help: Help, batch: Batch, taps: list[torch.Tensor], rows: torch.Tensor, losses: dict,
        seen: dict, deep: bool) -> None:
    """Adds what image tokens should know: at SAM's taps and among the language model's rows"""
    step = batch.ids.shape[-1] // taps[0].shape[1]
    ids = batch.ids[:, step // 2 :: step, step // 2 :: step]
    cells = coarser(ids).flatten(1)
    ids = ids.flatten(1)
    table = torch.cat([batch.labels, batch.boxes, outlines(batch)], -1)

    def few(name: str, head, x: torch.Tensor, ids: torch.Tensor, n: int) -> None:
        """n tokens are enough, those on objects first. x [B, N, C], ids [B, N]"""
        pick = (torch.rand(ids.shape) + (ids > 0)).topk(n, 1).indices
        facts = by_object(table, ids.gather(1, pick))
        x = x.gather(1, pick[..., None].expand(-1, -1, x.shape[-1]))
        losses[name], seen[name + "_right"] = head.loss(x, facts[..., :4].long(), facts[..., 4:8], facts[..., 8:])

    for i, head in help.taps.items():
        if deep or int(i) == len(taps):
            few("tap" + i, head, taps[int(i) - 1].flatten(1, 2), ids, 288)
    few("rows", help.rows, rows[:, -cells.shape[1] :], cells, 160)


def losses_of(model: FlowSeg, help: Help, batch: Batch, before: torch.Tensor, phase: str, w: dict, D: int):
    """phase "look": SAM and its rows; "read": the language model as well; "all": everything, with the
    first D sentences of an image going on to the decoder; "tune": the same without an oracle or dense help"""
    losses, seen = {}, {}

    # 1. Image, and what its tokens should know
    if batch.rows.numel() > 0:
        rows = batch.rows.unflatten(1, (-1, model.config["llm"]["hidden"]))
    else:
        taps = model.segmentor.encoder(batch.pixels)
        rows = model.rows(taps, batch.semantic)
        if w["dense"] > 0:
            see(model, help, batch, taps, rows, losses, seen, phase != "all")
    if phase != "look":
        S, C, valid = hear(model, help, batch, before, rows, losses, seen, w)

    # 2. Masks of the sentences, and of objects an oracle names
    if phase in ("all", "tune"):
        levels, shapes, mask_features = model.maps(taps)
        decode = lambda S, C, valid: model.segmentor.decoder(levels, shapes, mask_features, S, C, valid)
        judge = lambda predictions, target: segmentation(model, batch, mask_features, predictions, target, w["refine"])
        for k, v in judge(decode(S[:, :D], C[:, :D], valid[:, :D]), batch.target[:, :D]).items():
            (seen if k in ("iou", "oracle") else losses)[k] = v
        if w["oracle"] > 0:
            labels, boxes = batch.labels, batch.boxes
            count, M = (boxes[..., 2] > 0).sum(1)[:, None], boxes.shape[1] - 1
            pick = torch.rand(len(labels), M).masked_fill(torch.arange(M) >= count, 9).argsort(1)[:, : w["oracle"]] + 1
            pick = torch.where(pick <= count, pick, pick[:, :1])
            S, C = help.prompt(by_object(labels, pick), by_object(boxes, pick))
            for k, v in judge(decode(S, C, None), pick).items():
                (seen if k in ("iou", "oracle") else losses)["o_" + k] = v

    # 3. Weights as in the paper (class 2, BCE 5, dice 5; a mean over layers, not a sum), help on top
    scale = {"class": 2, "bce": 5, "dice": 5, "rim": 5, "o_class": 2, "o_bce": 5, "o_dice": 5, "o_rim": 5}
    scale |= {k: w["dense"] for k in losses if k.startswith(("tap", "rows"))}
    scale |= {k: w["ground"] for k in ("s", "end", "point", "mention", "count")}
    deep = len(model.segmentor.decoder.decoder.layers) + 1
    total = 0
    for k, v in losses.items():
        v = v / deep if k.removeprefix("o_") in ("class", "bce", "dice") else v
        total = total + scale.get(k, 1) * v
    return total, {k: float(v.detach()) for k, v in (losses | seen).items()}


def hear(model: FlowSeg, help: Help, batch: Batch, before: torch.Tensor, rows: torch.Tensor, losses: dict,
         seen: dict, w: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Runs the language model, adds what its rows should know -> S, C, valid"""
    B, N, T = batch.tokens.shape
    states, prefix = batched.read(model, rows, before, batch.tokens)
    final = states[-1][:, prefix:].unflatten(1, (N, T))
    H = final.shape[-1]
    S, C, valid = batched.conditions(model, final, batch.last, batch.span)
    labels, boxes = by_object(batch.labels, batch.target), by_object(batch.boxes, batch.target)
    at = lambda i: final.gather(2, i[..., None].expand(*i.shape, final.shape[-1]))
    seg, end = at(batch.last[..., None])[:, :, 0], at(batch.span[..., 1:])[:, :, 0]

    # The object that is meant: its facts from <SEG>, from S and from </p>, its place among the image's rows, and
    # half-way up the objects that the words have named
    losses["s"], seen["s_right"] = help.s.loss(S, labels, boxes)
    losses["end"], _ = help.close.loss(end, labels, boxes)
    cells = coarser(batch.ids[:, 4::8, 4::8]).flatten(1)
    image = slice(prefix - cells.shape[1], prefix)
    meant = F.one_hot(batch.target, batch.labels.shape[1]).float()
    losses["point"], seen["point_right"] = help.point.loss(seg, states[-2][:, image], cells, meant)
    middle = len(model.llm.model.layers) // 2
    half = states[middle]
    words = half[:, prefix:].unflatten(1, (N, T)).gather(2, batch.end[..., None].expand(-1, -1, -1, half.shape[-1]))
    named = batch.named.flatten(1, 2)
    losses["mention"], seen["mention_right"] = help.mention.loss(words.flatten(1, 2), half[:, image], cells, named)

    # "The third from the left": the layers from there on find the first, the second, the third
    losses["count"], right = 0, []
    for k, head in enumerate(help.count):
        state = states[min(middle + k, len(states) - 1)]
        here = state[:, prefix:].unflatten(1, (N, T)).gather(2, batch.last[..., None, None].expand(-1, -1, 1, H))[:, :, 0]
        nth = F.one_hot(batch.counted[..., k], batch.labels.shape[1]).float()
        nth[..., 0] = 0
        loss, hit = head.loss(here, state[:, image], cells, nth)
        losses["count"] = losses["count"] + loss / len(help.count)
        right.append(hit)
    seen["count_right"] = torch.stack(right).mean()
    if w["follow"] > 0:
        oracle = help.prompt(labels, boxes)[0].detach()
        losses["follow"] = w["follow"] * F.mse_loss(S, oracle) / oracle.var().clamp(min=1e-3)

    # The answer, next token by next token
    back = torch.arange(1, 4)
    said = model.llm.logits(at(batch.last[..., None] - back)).float()
    meant = batch.tokens.gather(2, batch.last[..., None] - back + 1)
    losses["answer"] = 0.1 * F.cross_entropy(said.flatten(0, 2), meant.flatten())
    return S, C, valid


def weights_at(t: float, phase: str) -> dict:
    """Curriculum over progress t in 0..1 of the whole budget"""
    if phase in ("decode", "tune"):
        return {"dense": 0, "ground": 1.0, "oracle": 0, "follow": 0, "refine": t > 0.5}
    return {
        "dense": 1.0 if phase != "all" else max(0.15, 1 - 1.5 * max(0, t - 0.35)),
        "ground": 1.0 if phase != "all" else max(0.5, 1 - 1.5 * max(0, t - 0.5)),
        "oracle": 4 if t < 0.7 else 0,
        "follow": 1.0 if phase == "all" and t < 0.7 else 0.0,
        "refine": t > 0.85,
    }


DECODER = ("segmentor.decoder", "segmentor.class_predictor", "segmentor.boundary_refiner", "bg_embeds")
FROZEN = {  # what learns of each phase while images stay as rows.py wrote them
    "read": ("llm", "help"),
    "decode": (*DECODER, "llm_projector", "help.s."),
    "tune": (*DECODER, "llm", "help"),
}
HEADS = 4  # rate at which heads begin to settle, as a share of --rate


def rate_at(t: float, step: int) -> float:
    """Warm-up over a run's first 100 steps, then a cosine over its time"""
    return max(0, min(1, (step + 1) / 100)) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, t))))


def begin_with(model: FlowSeg, tensors: dict[str, torch.Tensor]) -> None:
    """Loads a checkpoint. A language model with twice its layers gets each of them followed by a new one that
    does nothing yet: its two outputs start at zero."""
    layer = "llm.model.layers."
    names = {n.removeprefix(layer).split(".")[0] for n in tensors if n.startswith(layer)}
    if 2 * len(names) == len(model.llm.model.layers):
        old, tensors = tensors, {n: t for n, t in tensors.items() if not n.startswith(layer)}
        for n in (n for n in old if n.startswith(layer)):
            i, rest = n.removeprefix(layer).split(".", 1)
            idle = rest in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
            tensors[f"{layer}{2 * int(i)}.{rest}"] = old[n]
            tensors[f"{layer}{2 * int(i) + 1}.{rest}"] = torch.zeros_like(old[n]) if idle else old[n].clone()
    own = model.state_dict()  # an option of the head that the checkpoint lacks changes nothing at first
    model.load_state_dict({n: t for n, t in own.items() if ".sharpen." in n} | tensors)


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
    parser.add_argument("--data", nargs="+", required=True, help="folders of scenes, or JSON Lines (own_data.py)")
    parser.add_argument("--weights", required=True, help="folder of config.json and tokenizer.json")
    parser.add_argument("--run", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sentences", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--begin", help="model.safetensors to begin a new run with; the heads of losses.py start anew")
    parser.add_argument("--frozen", action="store_true", help="images as rows.py wrote them: --phase read, decode or tune")
    parser.add_argument("--masked", type=int, default=99, help="sentences an image that go on to the decoder")
    parser.add_argument("--encoders", type=float, default=1.0, help="rate of the image encoders, as a share of --rate")
    parser.add_argument("--phase", choices=["look", "read", "all", "decode", "tune"], default="all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many, for profiling")
    parser.add_argument("--length", type=int, default=0, help="steps of the whole schedule, where others use the machine: "
                        "minutes are counted as if each took as long")
    parser.add_argument("--start", type=float, default=0, help="progress to start the schedule from")
    parser.add_argument("--asks", action="store_true", help="ask everything that scenes of the second generation hold")
    parser.add_argument("--reach", type=float, default=0, help="with --begin: the boundary refiner starts anew, from no "
                        "correction, and may add this much to a logit; 0.1, where it began, moves hardly a pixel")
    parser.add_argument("--settle", type=int, default=0, help="with --asks: steps at the beginning of a phase in which the "
                        "heads of losses.py learn alone, fast: gradients through bad ones shake what they are put on")
    parser.add_argument("--history", type=float, default=0, help="minutes between copies of the state that are kept")
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
    if args.asks:
        import asks
        import multi
        from prompts import Prompts

        assert args.phase in ("read", "decode", "tune"), (
            "--asks trains the language model (read), the decoder (decode) or all together (tune)")
        prompt, Folder, Load, Heads, losses_fn = (
            Prompts(args.weights, config), asks.AskScenes, asks.AskLoader, multi.MoreHelp, multi.losses_of)
        known = sorted(json.loads((Path(args.data[0]) / "scenes.json").read_text())["categories"])
    else:
        known = None
        Folder, Load, Heads, losses_fn = open_data, Loader, Help, losses_of
    folders = [Folder(args.data[0], known)]
    folders += [Folder(f, folders[0].categories) for f in args.data[1:]]
    loader = Load(folders, prompt, config["siglip"]["image"], args.batch // args.workers,
                    args.sentences, args.seed, rank, args.workers, args.frozen)
    loader.maps = args.frozen and args.phase != "read"
    before = torch.tensor(prompt.before)

    model = FlowSeg(config)
    if args.begin:
        begin_with(model, load_weights(args.begin))
        if args.reach:
            refiner = model.segmentor.boundary_refiner
            with torch.no_grad():
                refiner.alpha.fill_(args.reach)
                refiner.refine[2].weight.zero_()
                refiner.refine[2].bias.zero_()
    help = Heads(config, len(folders[0].categories))
    parameters = [*model.named_parameters(), *(("help." + n, p) for n, p in help.named_parameters())]
    if args.frozen:
        parameters = [(n, p) for n, p in parameters if n.startswith(FROZEN[args.phase])]
    groups: dict[tuple[float, float], list[torch.Tensor]] = {}
    for n, p in parameters:
        is_plain = p.ndim < 2 or "embed" in n or "rel_pos" in n or "names" in n
        is_head = n.startswith("help.")
        share = args.encoders if n.startswith(("vision_encoder", "segmentor.encoder")) else 1.0
        groups.setdefault((share, 0.0 if is_plain else 0.05, is_head), []).append(p)
    optimizer = torch.optim.AdamW(
        [{"params": params, "weight_decay": decay, "share": share, "is_head": is_head}
         for (share, decay, is_head), params in groups.items()],
        lr=args.rate, betas=(0.9, 0.98), fused=True)
    average = {k: v.clone() for k, v in model.state_dict().items()}

    # Resume
    run = Path(args.run)
    run.mkdir(parents=True, exist_ok=True)
    step, used, others = 0, 60 * args.minutes * args.start, {}
    if (run / "last.pt").exists():
        state = torch.load(run / "last.pt", weights_only=True)
        model.load_state_dict(state["model"])
        help.load_state_dict(state["help"], strict=False)  # heads added since start anew
        for name, p in parameters:
            if name in state["optimizer"] and state["optimizer"][name]["exp_avg"].shape == p.shape:
                optimizer.state[p] = state["optimizer"][name]
        named = dict(parameters)
        others = {name: moments for name, moments in state["optimizer"].items() if name not in named}
        average, step = state["average"], state["step"]
        assert list(average) == list(model.state_dict()), "the run is of another config"
        used = state["used"] if not args.start else used
        loader.order = np.random.default_rng(args.seed + step)
        print("resumed at step", step, "used minutes", used / 60, flush=True)

    first = step
    settled = first + (args.settle if args.start or first == 0 else 0)
    torch.manual_seed(1000 * args.seed + 10 * step + rank)
    now = saved = told = kept = time.time()
    log = (run / "log.jsonl").open("a")
    stop = run / "STOP"  # touch it to save and end after the current step
    sums: dict[str, list[float]] = {}
    for batch in loader:
        clock = torch.tensor([used / (60 * args.minutes), float(stop.exists())], dtype=torch.float64)
        torch.distributed.broadcast(clock, 0)
        t = float(clock[0])
        settles = step < settled
        w = weights_at(t, args.phase) | {"settles": settles}
        rate = args.rate * rate_at(t, step - settled)
        for group in optimizer.param_groups:
            if group["is_head"]:
                group["lr"] = args.rate * HEADS * max(0.1, (settled - step) / args.settle) if settles else rate * 2
            else:
                group["lr"] = 0 if settles else rate * group["share"]
        with torch.autocast("cpu", torch.bfloat16, enabled=fast.has_bfloat16()):
            total, seen = losses_fn(model, help, batch, before, args.phase, w, args.masked)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        average_gradients([p for _, p in parameters], args.workers)
        norm = float(torch.nn.utils.clip_grad_norm_([p for _, p in parameters], 5.0))
        if math.isfinite(norm):
            optimizer.step()
        step += 1
        # A machine that slept for an hour hasn't trained for an hour
        used += 60 * args.minutes / args.length if args.length else min(time.time() - now, 60)
        now = time.time()
        done = t >= 1 or clock[1] > 0 or bool(args.steps and step >= args.steps)
        if not is_first:
            if done:
                break
            continue

        # The first worker keeps the average, the log and the state
        decay = 0.99
        with torch.no_grad():
            live = dict(model.named_parameters())
            names = list(live)
            torch._foreach_lerp_([average[n] for n in names], [live[n].detach() for n in names], 1 - decay)

        for k, v in (seen | {"total": float(total.detach()), "norm": norm}).items():
            sums.setdefault(k, []).append(v)
        if step % 20 == 0 or done:
            steps, seconds = len(sums["total"]), time.time() - told
            line = {"step": step, "phase": args.phase + ("*" if args.frozen else ""), "t": round(t, 4),
                    "minutes": round(used / 60, 2), "s/step": round(seconds / steps, 3),
                    "images/s": round(steps * args.batch / seconds, 2), "rate": round(rate, 6)}
            line |= {k: round(sum(v) / len(v), 4) for k, v in sums.items()}
            log.write(json.dumps(line) + "\n")
            log.flush()
            sums, told = {}, time.time()
        if done or time.time() - saved > 150:
            state = {"model": model.state_dict(), "help": help.state_dict(), "average": average,
                     "optimizer": others | {n: optimizer.state[p] for n, p in parameters if p in optimizer.state},
                     "step": step, "used": used, "config": config, "categories": folders[0].categories}
            save(run / "last.pt", state)
            saved = time.time()
            if args.history and (done or saved - kept > 60 * args.history):
                save(run / f"step-{step}.pt", {k: v for k, v in state.items() if k != "optimizer"})
                kept = saved
        if done:
            break


if __name__ == "__main__":
    main()
