"""Random samples are uniform, spread ones reproducible."""
import torch

from nclr_plugin.models.sampling import sample_columns, spread_columns


def test_sample_is_uniform_without_replacement_among_the_eligible():
    torch.manual_seed(0)
    eligible = torch.tensor([[1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]]).bool()
    hits = torch.zeros(6)
    for _ in range(2000):
        drawn, valid = sample_columns(eligible, 2)
        assert valid.tolist() == [[True, True], [True, False]]
        assert drawn[0, 0] != drawn[0, 1] and drawn[1, 0] == 2
        hits[drawn[0]] += 1
    assert hits[4] == 0
    assert (hits[eligible[0]] / 2000 - 2 / 5).abs().max() < 0.05


def test_spread_columns_are_reproducible_eligible_and_all_over_the_row():
    eligible = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0)) > 0.3
    drawn, valid = spread_columns(eligible, 100)
    assert valid.all() and eligible.gather(1, drawn).all()
    assert all(len(set(row.tolist())) == 100 for row in drawn)
    assert torch.equal(drawn, spread_columns(eligible, 100)[0])
    counts = torch.histc(drawn.float(), bins=10, min=0, max=1000)
    assert counts.min() >= 10
