package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The reference: one-hot masks and einsums, nothing clever. Every expert gets a buffer with a slot
 * for every token, so it costs E times the work; tests trust it and compare the others with it. It
 * also serves the dense forms of routing, for which there is nothing to save.
 */
public final class OneHotDispatcher implements Dispatcher<OneHotDispatcher.Masks> {
  /** The buffers and the dense mix that leads back. */
  public static final class Masks implements State {
    private final ExpertInput.Buffers input;
    private final Tensor combine;
    private final boolean slots;

    private Masks(ExpertInput.Buffers input, Tensor combine, boolean slots) {
      this.input = input;
      this.combine = combine;
      this.slots = slots;
    }

    @Override
    public ExpertInput.Buffers input() {
      return input;
    }
  }

  @Override
  public Masks dispatch(Tensor x, Routing routing) {
    return switch (routing) {
      case TokenChoice r -> {
        Tensor w = r.weights();
        Tensor hot = oneHot(r.experts(), r.expertCount(), w.dtype());
        // A token that chose an expert twice (S08's SWIPE) is in its buffer once.
        Tensor mask = hot.sum(1, false).clamp(0, 1);
        Tensor weights = hot.mul(w.unsqueeze(-1)).sum(1, false);
        yield masked(x, mask, weights, r.gating());
      }
      case ExpertChoice r -> {
        Tensor w = r.weights();
        Tensor hot = oneHot(r.tokens(), x.size(0), w.dtype()); // [E,C,T]
        Tensor mask = hot.sum(1, false).t();
        Tensor weights = hot.mul(w.unsqueeze(-1)).sum(1, false).t();
        yield masked(x, mask, weights, r.gating());
      }
      case Blend.Dense r -> {
        Tensor all = x.unsqueeze(0).expand(r.expertCount(), x.size(0), x.size(1));
        yield new Masks(new ExpertInput.Buffers(all), r.weights(), false);
      }
      case Blend.Slots r -> slots(x, r);
      case Retrieval r ->
          throw new MoeException("a retrieval has no expert buffers; its experts gather by id");
    };
  }

  /** One-hot rows of n + 1 classes: an absent id is the last class, which is cut off. */
  private static Tensor oneHot(Tensor ids, long n, DType type) {
    return Ops.oneHot(ids.maskedFill(ids.lt(0), (double) n), n + 1, type).narrow(-1, 0, n);
  }

  private static Masks masked(Tensor x, Tensor mask, Tensor weights, Gating gating) {
    boolean onInput = gating.weightOn() == Gating.WeightOn.INPUT;
    Tensor in = (onInput ? weights : mask).to(x.dtype());
    Tensor buffers = Tensor.einsum("te,td->etd", in, x);
    return new Masks(new ExpertInput.Buffers(buffers), onInput ? mask : weights, false);
  }

  /** Slots of all groups side by side: expert e's buffer is [G * R/E, d]. */
  private static Masks slots(Tensor x, Blend.Slots r) {
    long groups = r.dispatch().size(0);
    long size = r.dispatch().size(1);
    long perExpert = r.dispatch().size(2) / r.expertCount();
    Tensor grouped = x.reshape(groups, size, x.size(1));
    Tensor mixed = Tensor.einsum("gsr,gsd->grd", r.dispatch().to(x.dtype()), grouped);
    Tensor buffers =
        mixed
            .view(groups, r.expertCount(), perExpert, x.size(1))
            .transpose(0, 1)
            .reshape(r.expertCount(), groups * perExpert, x.size(1));
    return new Masks(new ExpertInput.Buffers(buffers), r.combine(), true);
  }

  @Override
  public Tensor combine(Tensor outputs, Masks state) {
    boolean exact = state.combine.dtype() == DType.F64 || outputs.dtype() == DType.F64;
    DType type = exact ? DType.F64 : DType.F32;
    Tensor mix = state.combine.to(type);
    Tensor wide = outputs.to(type);
    if (!state.slots) {
      return Tensor.einsum("te,etd->td", mix, wide).to(outputs.dtype());
    }
    long experts = outputs.size(0);
    long groups = mix.size(0);
    long perExpert = mix.size(2) / experts;
    Tensor byGroup =
        wide.view(experts, groups, perExpert, wide.size(2))
            .transpose(0, 1)
            .reshape(groups, experts * perExpert, wide.size(2));
    return Tensor.einsum("gsr,grd->gsd", mix, byGroup)
        .reshape(mix.size(0) * mix.size(1), wide.size(2))
        .to(outputs.dtype());
  }
}
