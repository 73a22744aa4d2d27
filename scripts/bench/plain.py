"""The MLE, critic and joint updates written as plainly as possible, to be timed against.

What a first working version looks like, and how the released code of Dai, Xie and Hovy (2018)
computes them: single precision; samples are drawn by a loop under autograd, whose distributions are
the policy's scores; the critic's attention is a layer over concatenated pairs of all decoder and
encoder states; the reward compares every pair of n-grams of every prefix with the reference; every
position of a padded batch is computed, padding too. Nothing here is used for anything but timing.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqrl.types import Batch, shift_right

CLIP = 5.0


class Plain(nn.Module):
    """An encoder-decoder of one layer; `concatenated` is the critic's attention."""

    def __init__(
        self,
        source_size: int,
        target_size: int,
        *,
        embedding: int,
        hidden: int,
        dropout: float,
        concatenated: bool = False,
        input_feeding: bool = False,
    ) -> None:
        super().__init__()
        self.source_embedding = nn.Embedding(source_size, embedding)
        self.target_embedding = nn.Embedding(target_size, embedding)
        self.encoder = nn.LSTM(embedding, hidden // 2, bidirectional=True, batch_first=True)
        self.decoder = nn.LSTM(embedding + hidden * input_feeding, hidden, batch_first=True)
        self.concatenated = concatenated
        self.input_feeding = input_feeding
        if concatenated:
            self.pair = nn.Linear(2 * hidden, hidden)
            self.energy = nn.Linear(hidden, 1)
        self.combine = nn.Linear(2 * hidden, hidden, bias=concatenated)
        self.output = nn.Linear(hidden, target_size)
        self.dropout = nn.Dropout(dropout)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def encode(self, source: Tensor, mask: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        packed = pack_padded_sequence(
            self.source_embedding(source), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, (h, c) = self.encoder(packed)
        memory, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])
        return memory, (
            torch.cat([h[0], h[1]], -1).unsqueeze(0),
            torch.cat([c[0], c[1]], -1).unsqueeze(0),
        )

    def attend(self, states: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        if self.concatenated:
            steps, width = states.shape[1], memory.shape[1]
            pairs = torch.cat(
                [
                    states.unsqueeze(2).expand(-1, -1, width, -1),
                    memory.unsqueeze(1).expand(-1, steps, -1, -1),
                ],
                dim=-1,
            )
            scores = self.energy(torch.tanh(self.pair(pairs))).squeeze(-1)
        else:
            scores = torch.bmm(states, memory.transpose(1, 2))
        scores = scores.masked_fill(~mask.unsqueeze(1), float("-inf"))
        context = torch.bmm(torch.softmax(scores, -1), memory)
        attended: Tensor = torch.tanh(self.combine(torch.cat([states, context], -1)))
        return attended

    def forward(
        self, memory: Tensor, mask: Tensor, start: tuple[Tensor, Tensor], inputs: Tensor
    ) -> Tensor:
        """Logits [N, T, V]."""
        words = self.target_embedding(inputs)
        if not self.input_feeding:
            states, _ = self.decoder(words, start)
            logits: Tensor = self.output(self.dropout(self.attend(states, memory, mask)))
            return logits
        fed, state, outputs = torch.zeros_like(memory[:, :1]), start, []
        for t in range(inputs.shape[1]):
            states, state = self.decoder(torch.cat([words[:, t : t + 1], fed], -1), state)
            fed = self.dropout(self.attend(states, memory, mask))
            outputs.append(fed)
        fed_logits: Tensor = self.output(torch.cat(outputs, 1))
        return fed_logits

    def sample(self, batch: Batch, samples: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [N, T], their mask, and log p [N, T, V], with gradient."""
        memory, (h, c) = self.encode(batch.source, batch.source_mask)
        memory, mask = (x.repeat_interleave(samples, 0) for x in (memory, batch.source_mask))
        state = (h.repeat_interleave(samples, 1), c.repeat_interleave(samples, 1))
        eos, pad = batch.specials.eos, batch.specials.pad
        token = torch.full((len(mask), 1), batch.specials.bos)
        running = torch.ones(len(mask), 1, dtype=torch.bool)
        tokens, masks, scores = [], [], []
        for _ in range(steps):
            states, state = self.decoder(self.target_embedding(token), state)
            log_p = torch.log_softmax(
                self.output(self.dropout(self.attend(states, memory, mask))), -1
            )
            token = torch.multinomial(log_p.squeeze(1).exp().detach(), 1)
            token = torch.where(running, token, pad)
            tokens.append(token)
            masks.append(running)
            scores.append(log_p)
            running = running & (token != eos)
            if not running.any():
                break
        return torch.cat(tokens, 1), torch.cat(masks, 1), torch.cat(scores, 1)


def increments(tokens: Tensor, references: Tensor, batch: Batch) -> Tensor:
    """[N, T], the increments of smoothed sentence BLEU, scaled by the reference's length.

    Every prefix is scored from the beginning.
    """
    words = (tokens != batch.specials.pad) & (tokens != batch.specials.eos)
    there = (references != batch.specials.pad) & (references != batch.specials.eos)
    length = there.sum(1).double()
    scores = [torch.zeros(len(tokens), dtype=torch.double)]
    for end in range(1, tokens.shape[1] + 1):
        prefix, mask = tokens[:, :end], words[:, :end]
        count = mask.sum(1).double()
        logs = torch.zeros_like(count)
        for n in range(1, 5):
            matches = _clipped(prefix, mask, references, there, n)
            logs = logs + torch.log((matches + 1) / ((count - n + 1).clamp(min=0) + 1)) / 4
        brevity = (1 - length / count.clamp(min=1)).clamp(max=0)
        scores.append(torch.where(count > 0, torch.exp(brevity + logs), 0.0))
    return (torch.stack(scores, 1).diff(dim=1) * length.unsqueeze(1)).float()


def _clipped(tokens: Tensor, mask: Tensor, references: Tensor, there: Tensor, n: int) -> Tensor:
    """[N], the n-grams that a reference has too, counted at most as often as there."""
    if tokens.shape[1] < n or references.shape[1] < n:
        return torch.zeros(len(tokens), dtype=torch.double)
    ours, theirs = tokens.unfold(1, n, 1), references.unfold(1, n, 1)
    valid, present = mask.unfold(1, n, 1).all(-1), there.unfold(1, n, 1).all(-1)
    same = (ours.unsqueeze(2) == ours.unsqueeze(1)).all(-1) & valid.unsqueeze(1)
    found = (ours.unsqueeze(2) == theirs.unsqueeze(1)).all(-1) & present.unsqueeze(1)
    occurrence = same.tril(-1).sum(2)
    return ((occurrence < found.sum(2)) & valid).sum(1).double()


class PlainUpdates:
    """An actor, a critic with its target network, and their updates.

    tau, beta, lambda_var, lambda_mle  as in `seqrl.algorithms.actor_critic`
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        *,
        embedding: int = 256,
        hidden: int = 256,
        tau: float = 0.04,
        beta: float = 0.001,
        lambda_var: float = 0.001,
        lambda_mle: float = 0.1,
        input_feeding: bool = False,
    ) -> None:
        size = {"embedding": embedding, "hidden": hidden}
        self.actor = Plain(
            source_size, target_size, **size, dropout=0.3, input_feeding=input_feeding
        )
        self.critic = Plain(target_size, target_size, **size, dropout=0.0, concatenated=True)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.tau, self.beta = tau, beta
        self.lambda_var, self.lambda_mle = lambda_var, lambda_mle
        self.sgd = torch.optim.SGD(self.actor.parameters(), lr=0.6)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=1e-4, betas=(0.0, 0.999))
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), lr=1e-3)

    def mle(self, batch: Batch) -> None:
        self._step(self._likelihood(batch), self.actor, self.sgd)

    def evaluation(self, batch: Batch) -> None:
        """The critic's update with the actor fixed, two samples per source."""
        tokens, mask, log_p = self.actor.sample(batch, 2, batch.target.shape[1] + 5)
        loss, _ = self._judge(batch, tokens, mask, log_p.detach(), 2)
        self._step(loss, self.critic, self.critic_adam)
        self._follow()

    def joint(self, batch: Batch) -> None:
        """Actor and critic together, one sample per source."""
        tokens, mask, log_p = self.actor.sample(batch, 1, batch.target.shape[1] + 10)
        loss, values = self._judge(batch, tokens, mask, log_p.detach(), 1)
        signal = (values - self.tau * log_p).detach()
        worth = (log_p.exp() * signal).sum(-1)
        actor_loss = -(worth * mask).sum() / len(tokens)
        actor_loss = actor_loss + self.lambda_mle * self._likelihood(batch)
        self._step(actor_loss, self.actor, self.actor_adam)
        self._step(loss, self.critic, self.critic_adam)
        self._follow()

    def _likelihood(self, batch: Batch) -> Tensor:
        memory, start = self.actor.encode(batch.source, batch.source_mask)
        logits = self.actor(memory, batch.source_mask, start, batch.target_inputs)
        nll = F.nll_loss(
            torch.log_softmax(logits, -1).flatten(0, 1),
            batch.target.flatten(),
            ignore_index=batch.specials.pad,
            reduction="sum",
        )
        return nll / len(batch)

    def _judge(
        self, batch: Batch, tokens: Tensor, mask: Tensor, log_p: Tensor, samples: int
    ) -> tuple[Tensor, Tensor]:
        """The critic's loss, and Q [N, T, V]."""
        references = batch.target.repeat_interleave(samples, 0)
        rewards = increments(tokens, references, batch)
        inputs = shift_right(tokens, batch.specials.bos)
        with torch.no_grad():
            later = self._values(self.target, batch, inputs, samples)
            state_values = (log_p.exp() * (later - self.tau * log_p)).sum(-1) * mask
            following = torch.cat([state_values[:, 1:], torch.zeros_like(state_values[:, :1])], 1)
            targets = rewards + following
        values = self._values(self.critic, batch, inputs, samples)
        taken = values.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        loss = ((taken - targets).square() * mask).sum() / (2 * len(tokens))
        spread = (values.var(-1) * mask).sum() / len(tokens)
        return loss + self.lambda_var * spread, values

    def _values(self, critic: Plain, batch: Batch, inputs: Tensor, samples: int) -> Tensor:
        reference = torch.cat([batch.target_inputs[:, :1], batch.target], 1)
        mask = reference != batch.specials.pad
        memory, (h, c) = critic.encode(reference, mask)
        memory, mask = (x.repeat_interleave(samples, 0) for x in (memory, mask))
        start = (h.repeat_interleave(samples, 1), c.repeat_interleave(samples, 1))
        values: Tensor = critic(memory, mask, start, inputs)
        return values

    def _follow(self) -> None:
        with torch.no_grad():
            for slow, fast in zip(self.target.parameters(), self.critic.parameters(), strict=True):
                slow.lerp_(fast, self.beta)

    def _step(self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
