"""Similarity of points and pixels, and matches (NCLR, sections 3.3-3.4; CrossI2P's patches)."""
from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.camera import CellGrid
from ...geometry.se3 import matmul_exact
from ..layers.attention import pixel_pos_encoding, point_pos_encoding
from ..losses.contrastive_loss import PixelTargets, pixel_to_point_loss, point_to_pixel_loss

MASKED_SIMILARITY = -1e4  # finite, so that a fully masked row has a softmax
PIXEL_WAVELENGTH = (4., 400.)  # cells
POINTS_AT_ONCE = 512  # whose similarities to all cells of a map fit into a processor's cache


class PixelMatches(NamedTuple):
    """Pixels matched to points.

    Attributes:
        pixels: (..., K, 2) input-image pixels (u, v).
        similarity: (..., K), largest similarity over the pixels in the mask (without temperature).
        cell: (..., K), row-major index of the cell that has it.
        valid: (..., K) bool, False where the mask is empty; such a match is finite, but means
            nothing.
    """
    pixels: Tensor
    similarity: Tensor
    cell: Tensor
    valid: Tensor


@MODELS.register_module()
class MatchingHead(BaseModule):
    r"""Project both modalities, align them with :math:`W_f = Q D Q^T` and match.

    The similarity of a point and a pixel is :math:`\tilde F^P W_f \tilde F^{I\top}` with
    normalised features (Eq. 2); :math:`W_f` is symmetric by construction and the identity at the
    start, where the similarity is the cosine.

    Args:
        point_channels, pixel_channels: Channels of the decoded features.
        embed_dims: Channels in which points and pixels are compared.
        hidden_channels: Width of the perceptrons that join features and positions.
        position_channels: Channels of the sinusoidal codes of the positions of points and pixels:
            the point-wise part of a point's feature (section 3.2); they distinguish cells of equal
            appearance. 0: decoded features alone.
        alignment: Learn :math:`W_f` (``False``: cosine similarity, as in the paper's baseline).
        temperature: :math:`\tau` of Eq. 2.
        match: ``'soft'`` (Eq. 4-5) or ``'hard'`` (the most similar pixel).
        match_temperature: Temperature of the soft match. Eq. 5 prints none, but without one a
            softmax over thousands of cosines is flat, and every match lies at the image centre.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 embed_dims: int = 64,
                 hidden_channels: int = 128,
                 position_channels: int = 48,
                 alignment: bool = True,
                 temperature: float = 0.07,
                 match: str = 'soft',
                 match_temperature: float = 0.02,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if match not in ('soft', 'hard'):
            raise ValueError(f'MatchingHead: match must be "soft" or "hard", found "{match}".')
        self.point_proj = _projection(point_channels + position_channels, hidden_channels,
                                      embed_dims)
        self.pixel_proj = _projection(pixel_channels + position_channels, hidden_channels,
                                      embed_dims)
        self.position_channels = position_channels
        self.alignment_weight = nn.Parameter(torch.eye(embed_dims)) if alignment else None
        self.temperature = temperature
        self.match_mode = match
        self.match_temperature = match_temperature

    def embed_points(self, point_feats: Tensor, points: Tensor) -> Tensor:
        """Embed decoded features (..., C_P) at positions (..., 3): normalised (..., D), float32.

        Positions are metres, relative to the centre of the scan.
        """
        where = point_pos_encoding(points, self.position_channels)
        embedded = self.point_proj(torch.cat((point_feats, where.to(point_feats)), -1))
        return F.normalize(embedded.float(), dim=-1)

    def embed_pixels(self, pixel_feats: Tensor, azimuth: Tensor) -> Tensor:
        """Embed a decoded map (V, C_I, H', W'): normalised (V, H' W', D), float32.

        ``azimuth`` (V, W', 2 K) are the codes of the azimuth in which the columns look.
        """
        cells = pixel_feats.flatten(2).transpose(1, 2)
        where = pixel_pos_encoding(
            pixel_feats.shape[2], azimuth, self.position_channels, PIXEL_WAVELENGTH)
        embedded = self.pixel_proj(torch.cat((cells, where.to(cells)), -1))
        return F.normalize(embedded.float(), dim=-1)

    @property
    def alignment_matrix(self) -> Tensor:
        """Symmetric :math:`W_f` (D, D); ``None`` without alignment."""
        if self.alignment_weight is None:
            return None
        return (self.alignment_weight + self.alignment_weight.T) / 2

    def similarity(self, points: Tensor, pixels: Tensor, aligned: bool = True) -> Tensor:
        r"""Compare points (..., K, D) and pixels (..., L, D): (..., K, L), float32 (Eq. 2).

        Computed without temperature and outside autocast: half precision would blur the differences
        that decide a match. ``aligned=False`` returns the cosine, without the alignment.
        """
        if aligned and self.alignment_weight is not None:
            points = matmul_exact(points, self.alignment_matrix)
        return matmul_exact(points, pixels.transpose(-1, -2))

    def logits(self, points: Tensor, pixels: Tensor) -> Tensor:
        """Divide the similarity (..., K, L) by the temperature, as in Eq. 1."""
        # Dividing the few features is cheaper than dividing the many products.
        return self.similarity(points / self.temperature, pixels)

    def loss(self, points: Tensor, pixels: Tensor, targets: PixelTargets,
             negative_margin: float) -> dict[str, Tensor]:
        """Compute Eq. 1 both ways: points against all pixels, their pixels against the points.

        Args:
            points: (V, K, D) features of points of the true overlap.
            pixels: (V, L, D) pixel features.
            targets: Positives of the points.
            negative_margin: r_n, pixels: nearer pairs are not negatives.
        """
        positives = pixels.take_along_dim(targets.cell[..., None], 1)
        return dict(
            loss_point=point_to_pixel_loss(
                self.logits(points, pixels), targets, negative_margin),
            loss_pixel=pixel_to_point_loss(
                self.logits(points, positives).transpose(1, 2), targets, negative_margin))

    def aligned_features(self, points: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        r"""Map both modalities to the space in which the similarity is a plain dot product.

        With :math:`W_f = Q D Q^T`, features become :math:`\tilde F Q |D|^{1/2}` (the sign of
        a negative eigenvalue goes to the points), so that their dot product is Eq. 2's
        exponent. The cosine of the results is the paper's Table 7; the vectors are its Fig. 4.
        """
        if self.alignment_weight is None:
            return points, pixels
        eigenvalues, basis = torch.linalg.eigh(self.alignment_matrix)
        scale = eigenvalues.abs().sqrt()
        return (matmul_exact(points, basis * scale * eigenvalues.sign()),
                matmul_exact(pixels, basis * scale))

    def match(self, points: Tensor, pixels: Tensor, centres: Tensor, pixel_mask: Tensor,
              mode: str | None = None, aligned: bool = True) -> PixelMatches:
        """Match every point to a pixel in the mask.

        Args:
            points: (V, K, D) point features.
            pixels: (V, L, D) pixel features.
            centres: (L, 2) cell centres in input-image pixels.
            pixel_mask: (V, L) bool, the predicted overlap :math:`I_o`.
            mode: ``'soft'`` or ``'hard'``, in place of ``match``.
            aligned: ``False`` compares by cosine, without the alignment.
        """
        valid = pixel_mask.any(1, keepdim=True).expand(points.shape[:2])
        cells = None
        if not torch.is_grad_enabled() and pixel_mask.any():
            # In evaluation, the cells that no view may match are left out.
            cells = pixel_mask.any(0).nonzero()[:, 0]
            pixels, centres, pixel_mask = pixels[:, cells], centres[cells], pixel_mask[:, cells]
        parts = []
        for block in points.split(POINTS_AT_ONCE, 1):
            masked = self.similarity(block, pixels, aligned).masked_fill(
                ~pixel_mask[:, None], MASKED_SIMILARITY)
            best, cell = masked.max(-1)
            if (mode or self.match_mode) == 'hard':
                matched = centres[cell]
            else:
                weights = torch.softmax(masked / self.match_temperature, -1)
                matched = matmul_exact(weights, centres)
            parts.append((matched, best, cell if cells is None else cells[cell]))
        return PixelMatches(*(torch.cat(part, 1) for part in zip(*parts)), valid)


def patch_mask(superpixel: Tensor, coarse: CellGrid, fine: CellGrid, margin: int) -> Tensor:
    """Select the cells of the fine map in or near a superpixel.

    Args:
        superpixel: (...) row-major indices of cells of the coarse map.
        coarse: Grid of the superpixels.
        fine: Grid of the fine map, of the same image.
        margin: Fine cells by which a patch is larger on each side.

    Returns:
        (..., H' W') bool.
    """
    device = superpixel.device
    coarse_centres, fine_centres = (
        grid.centres(torch.float32, device).view(-1, 2) for grid in (coarse, fine))
    radius = coarse.stride / 2 + margin * fine.stride
    offset = (coarse_centres[:, None] - fine_centres).abs().amax(-1)
    return (offset < radius)[superpixel]


def refine_matches(similarity: Tensor, pixel_mask: Tensor, grid: CellGrid, temperature: float,
                   radius: int = 1) -> PixelMatches:
    """Find the most similar cell in the mask, refined to the mean of the cells around it.

    The mean is weighted by the softmax of the similarities, so it is differentiable and moves the
    match by fractions of a cell. Unlike a mean over a whole patch, it does not fall between two
    similar places.

    Args:
        similarity: (V, K, H' W').
        pixel_mask: (V, K, H' W') bool.
        grid: Grid of the map.
        temperature: Temperature of the softmax.
        radius: Cells to each side that the mean is taken over; 0 is the hard match.

    Returns:
        Matches (V, K), in input-image pixels.
    """
    centres = grid.centres(similarity.dtype, similarity.device)
    masked = similarity.masked_fill(~pixel_mask, MASKED_SIMILARITY)
    best, index = masked.max(-1)
    cell, inside = grid.window(index, radius)
    near = masked.gather(-1, cell).masked_fill(~inside, MASKED_SIMILARITY)
    weights = torch.softmax(near.float() / temperature, -1).to(centres)
    pixels = (weights[..., None] * centres.view(-1, 2)[cell]).sum(-2)
    return PixelMatches(pixels, best, index, pixel_mask.any(-1))


def _projection(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels), nn.ReLU(),
        nn.Linear(hidden_channels, hidden_channels), nn.ReLU(),
        nn.Linear(hidden_channels, out_channels))
