package org.moe4j.models;

import java.util.List;
import java.util.function.IntFunction;
import org.moe4j.ExpertForm;
import org.moe4j.LentExperts;
import org.moe4j.MoeConfig;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensors;
import org.moe4j.tensor.Tensor;

/**
 * The experts of one layer, read from a checkpoint when tokens come for them. What was read stays
 * in an {@link ExpertCache}, which all layers of a model share.
 */
public final class StoredExperts implements LentExperts {
  /**
   * Where an expert's weights are.
   *
   * @param in names of the tensors [h,d] that its up projection consists of: one, or of a gated
   *     expert the gate and then the up projection
   * @param out name of the down projection [d,h]
   */
  public record Names(List<String> in, String out) {}

  /**
   * How weights are held.
   *
   * @param dtype in memory
   * @param device in whose memory
   */
  public record Held(DType dtype, Device device) {}

  private final StoredTensors files;
  private final IntFunction<Names> names;
  private final ExpertCache cache;
  private final MoeConfig config;
  private final int layer;
  private final Held how;

  /**
   * The experts of a layer.
   *
   * @param files stay open as long as the model
   * @param names of each expert's tensors
   * @param layer index of the layer, unlike that of all others with the same cache
   */
  public StoredExperts(
      StoredTensors files,
      IntFunction<Names> names,
      ExpertCache cache,
      MoeConfig config,
      int layer,
      Held how) {
    this.files = files;
    this.names = names;
    this.cache = cache;
    this.config = config;
    this.layer = layer;
    this.how = how;
  }

  @Override
  public int count() {
    return config.experts();
  }

  @Override
  public ExpertForm form() {
    return config.form();
  }

  @Override
  public int expertWidth() {
    return config.expertWidth();
  }

  @Override
  public void lend(int expert, Use use) {
    long bytes = form().parameters(config.width(), expertWidth()) * how.dtype.bytes();
    cache.with(layer, expert, bytes, () -> read(names.apply(expert)), use);
  }

  private ExpertCache.Weights read(Names of) {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      long h = expertWidth();
      long d = config.width();
      Tensor in = Tensor.empty(how.dtype, how.device, form().inRows(h), d);
      for (int i = 0; i < of.in.size(); i++) {
        files.loadInto(of.in.get(i), in.narrow(0, i * h, h));
      }
      Tensor out = Tensor.empty(how.dtype, how.device, d, h);
      files.loadInto(of.out, out);
      return new ExpertCache.Weights(in.keep(), out.keep());
    }
  }
}
