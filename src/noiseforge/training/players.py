"""What is trained: a model's players with their optimisers, averages and draws, and one round of their game."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from noiseforge.data.feed import Feed
from noiseforge.data.spec import Data
from noiseforge.errors import Diverged, UserError
from noiseforge.models import build_model
from noiseforge.models.player import Moment, Noise, Player
from noiseforge.recipes.schedule import value_at
from noiseforge.recipes.schema import Recipe
from noiseforge.training.average import Average
from noiseforge.training.processes import Processes


class Seat:
    """A player at the table: its optimiser, and how many turns it has had."""

    def __init__(self, player: Player, *, alone: bool):
        self.player = player
        self.settings = player.optimiser
        self.parameters = [p for p in player.module.parameters() if p.requires_grad]
        betas = (self.settings.beta1, value_at(self.settings.beta2, 0))
        lr = value_at(self.settings.lr, 0)
        self.optimiser = torch.optim.Adam(self.parameters, lr=lr, betas=betas, eps=self.settings.eps, fused=True)
        self.inputs = None if alone else self.parameters
        """What a backward pass may move: where nobody else plays, no pass need be told, and it is quicker so."""
        self.turns = 0

    def play(self, feed: Feed, moment: Moment, processes: Processes, precision: str) -> dict[str, Tensor]:
        """One update; returns the terms and notes by `player/name`."""
        for group in self.optimiser.param_groups:
            group["lr"] = value_at(self.settings.lr, moment.images)
            group["betas"] = (self.settings.beta1, value_at(self.settings.beta2, moment.images))
        batch = feed.next()
        with processes.autocast(precision):
            terms = self.player.loss(batch, moment)
        reduce(torch.add, terms.values()).backward(inputs=self.inputs)
        processes.average_gradients(self.parameters)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.player.after_step is not None:
            self.player.after_step()
        self.turns += 1
        return {f"{self.player.name}/{name}": value.detach() for name, value in {**terms, **moment.notes}.items()}


class Training:
    """Everything of one training that a checkpoint holds, and the rounds themselves."""

    def __init__(self, recipe: Recipe, data: Data, processes: Processes):
        self.recipe, self.settings, self.processes = recipe, recipe.train, processes
        if self.settings.batch % processes.count:
            raise UserError(f"train.batch={self.settings.batch} must be a multiple of the {processes.count} processes")
        self.model = build_model(recipe.model, data.spec, torch.Generator().manual_seed(recipe.seed))
        self.model.prepare(data.train)
        self.model.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        processes.share(self.model.state_dict().values())
        players = self.model.players()
        self.seats = [Seat(player, alone=len(players) == 1) for player in players]
        self.averages = {
            seat.player.name: Average(seat.player.module, self.settings.average_halflife)
            for seat in self.seats
            if seat.player.averaged and self.settings.average_halflife > 0
        }
        self.draws = torch.Generator().manual_seed(recipe.seed + 1)
        self.noise = Noise(self.draws, processes.device, rank=processes.rank, processes=processes.count)
        self.feed = Feed(data.train, self.settings.batch, recipe.seed + 2, processes.device, processes.own_rows)
        self.images = 0

    def round(self) -> dict[str, Tensor]:
        """The turns of every player whose time it is, then the averages."""
        terms: dict[str, Tensor] = {}
        playing = [seat for seat in self.seats if seat.player.plays(self.images)]
        for seat in playing:
            for _ in range(seat.settings.turns):
                moment = Moment(self.noise, self.images, seat.turns)
                terms.update(seat.play(self.feed, moment, self.processes, self.settings.precision))
        self.images += self.settings.batch
        for seat in playing:
            if average := self.averages.get(seat.player.name):
                average.update(self.images - seat.player.begins, self.settings.batch)
        return terms

    def check_weights(self) -> None:
        """Looks at the weights that a checkpoint would hold; a loss term shows a broken one a round later.

        Raises:
            Diverged: names the first that is not finite.
        """
        averages = {f"average of {name}": average.state_dict() for name, average in self.averages.items()}
        for owner, weights in {"weight": self.model.state_dict(), **averages}.items():
            finite = torch.stack([torch.isfinite(tensor).all() for tensor in weights.values()]).tolist()
            if broken := next((name for name, fine in zip(weights, finite, strict=True) if not fine), None):
                raise Diverged(f"{owner} {broken} became NaN or infinite after {self.images} images")

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """Within the block the model holds the averaged weights and has settled, in evaluation mode."""
        for average in self.averages.values():
            average.swap()
        self.model.eval()
        self.model.settle()
        try:
            yield self.model
        finally:
            self.model.train()
            for average in self.averages.values():
                average.swap()

    def state(self) -> dict[str, object]:
        """All that going on needs; plain tensors and numbers."""
        return {
            "images": self.images,
            "model": self.model.state_dict(),
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
            "optimisers": {seat.player.name: seat.optimiser.state_dict() for seat in self.seats},
            "turns": {seat.player.name: seat.turns for seat in self.seats},
            "draws": self.draws.get_state(),
            "position": self.feed.position,
        }

    def load(self, state: dict) -> None:
        """Takes what `state` gave.

        Raises:
            UserError: the state is of another model.
        """
        try:
            self.model.load_state_dict(state["model"])
            for name, average in self.averages.items():
                average.load_state_dict(state["averages"][name])
            for seat in self.seats:
                seat.optimiser.load_state_dict(state["optimisers"][seat.player.name])
                seat.turns = state["turns"][seat.player.name]
            self.draws.set_state(state["draws"])
            self.feed.position = state["position"]
            self.images = state["images"]
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"state.pt does not fit this recipe ({reason}): undo the change, or train anew") from None
