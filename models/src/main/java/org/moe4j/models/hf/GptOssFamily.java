package org.moe4j.models.hf;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.ExpertForm;
import org.moe4j.FeedForwardExperts;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;

/** gpt-oss: sinks in the attention, windows in every other layer, clamped SwiGLU with biases. */
final class GptOssFamily extends LlamaFamily {
  @Override
  public String modelType() {
    return "gpt_oss";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    boolean bias = f.flagOr(true, "attention_bias");
    GroupedQueryConfig attention = attention(f, 150_000).withBiases(bias, bias).withSinks(true);
    double limit = f.numberOr(7, "swiglu_limit");
    ExpertForm form = f.checked(() -> ExpertForm.GPT_OSS.withClamp(new ExpertForm.Clamp(limit, 1)));
    MoeConfig plain =
        moe(f, "intermediate_size").form(form).gating(rounded(Gating.TOP_K_SOFTMAX)).build();
    Map<String, Object> options = new HashMap<>(plain.routerOptions());
    options.put("bias", true);
    MoeConfig moe = plain.toBuilder().router(plain.router(), options).build();
    return decoder(f, attention, every(f, moe))
        .normEps(f.numberOr(1e-5, "rms_norm_eps"))
        .windows(windows(f, f.positive("num_hidden_layers"), false))
        .build();
  }

  /** Matrices are multiplied from the right; gate and up projection alternate. */
  @Override
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.router.weight", gate);
    Names.routerBias(moe).ifPresent(b -> map.whole(at + "mlp.router.bias", b));
    FeedForwardExperts experts = Names.experts(moe);
    long e = experts.count();
    long d = moe.config().width();
    long h = moe.config().expertWidth();
    String in = at + "mlp.experts.";
    map.tensor(in + "gate_up_proj", e, d, 2 * h)
        .all(experts.in(), w -> w.view(e, 2, h, d).permute(0, 3, 2, 1));
    map.part(in + "down_proj", experts.out(), w -> w.transpose(1, 2));
    experts
        .inBias()
        .ifPresent(
            b ->
                map.tensor(in + "gate_up_proj_bias", e, 2 * h)
                    .all(b, w -> w.view(e, 2, h).transpose(1, 2)));
    experts.outBias().ifPresent(b -> map.whole(in + "down_proj_bias", b));
  }

  @Override
  public List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED);
  }
}
