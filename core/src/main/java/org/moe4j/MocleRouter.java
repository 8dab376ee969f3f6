package org.moe4j;

import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The cluster-conditional gate of MoCLE with its universal expert (S32, "Mixture of Cluster-
 * conditional LoRA Experts", section 3): the router reads no hidden state but the cluster c of the
 * token's text, the context's domain:
 *
 * <pre>l = W T[c] + b (+ 0.1 N(0, I) in training), p = softmax(l / tau), i = argmax p, w = p_i
 * y = w E_i(x) + (1 - w) U(x)</pre>
 *
 * With top-k 2 the layer's last expert is U, the universal one, and the others are task experts;
 * with top-k 1 there is no universal expert and y = w E_i(x). Noise is drawn once for each
 * sequence. Option {@code gate-squared} weighs the task expert by w squared, as the released code
 * does beside a universal expert.
 *
 * <p>Clusters are known before a text begins: {@link KMeans} finds them in sentence embeddings. A
 * cluster that is unknown in evaluation or decoding (-1) is left to the universal expert alone, or
 * without one gated by the mean of all clusters' embeddings; in training it is refused. Experts
 * here are feed-forward networks; the paper's are low-rank changes of a frozen matrix.
 *
 * <p>Parameters of each layer: {@code gate.clusters} [C,m] (T), {@code gate.weight} [task
 * experts,m], {@code gate.bias}.
 */
public final class MocleRouter implements Router {
  private static final String NAME = "mocle";

  private final int experts;
  private final int tasks;
  private final int clusterCount;
  private final double temperature;
  private final double noise;
  private final boolean squared;
  private final Parameter clusters;
  private final Parameter weight;
  private final Parameter bias;

  private MocleRouter(RouterSetup setup) {
    Options o = setup.options();
    MoeConfig c = setup.config();
    this.experts = c.experts();
    this.tasks = tasks(c);
    this.clusterCount = o.whole("clusters");
    this.temperature = o.number("temperature");
    this.noise = o.number("noise");
    this.squared = o.flag("gate-squared");
    int m = o.whole("embedding");
    Role role = new Role.Gate(setup.layer());
    this.clusters = setup.store().create("gate.clusters", role, Init.normal(1), clusterCount, m);
    this.weight = setup.store().create("gate.weight", role, Init.kaimingUniform(m), tasks, m);
    this.bias = setup.store().create("gate.bias", role, Init.kaimingUniform(m), tasks);
  }

  static RouterEntry entry() {
    return RouterEntry.of(
            NAME, "S32", "MoCLE: a text's cluster is the gate's input; a universal expert beside")
        .causality(Causality.PAST)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("signal", "cluster")
                .with("unit", "task")
                .with("choices", "1")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "none")
                .with("placement", "feed-forward + shared expert beside")
                .with("experts", "few large")
                .with("use", "fine-tune"))
        .options(
            OptionKey.whole("clusters", 64, "clusters, the domains of the text"),
            OptionKey.whole("embedding", 384, "width of a cluster's learned embedding"),
            OptionKey.number("temperature", 0.05, "logits are divided by it"),
            OptionKey.number("noise", 0.1, "deviation of the noise on the logits in training"),
            OptionKey.flag(
                "gate-squared", false, "square the task expert's weight, as the released code"))
        .unscored()
        .flops(c -> 0)
        .valid(MocleRouter::check)
        .build(MocleRouter::new, MocleRouter::parameters);
  }

  private static int tasks(MoeConfig c) {
    return c.topK() == 2 ? c.experts() - 1 : c.experts();
  }

  private static long parameters(MoeConfig c) {
    Options o = c.routerEntry().check(c);
    long m = o.whole("embedding");
    return o.whole("clusters") * m + tasks(c) * (m + 1);
  }

  private static void check(MoeConfig c) {
    Options o = c.routerEntry().check(c);
    if (c.topK() > 2) {
      throw new MoeException(
          "router \"mocle\" chooses one task expert; set top-k to 2 for a universal expert beside"
              + " it (the last of the experts), or to 1 for none, not "
              + c.topK());
    }
    for (String key : List.of("clusters", "embedding")) {
      if (o.whole(key) < 1) {
        throw new MoeException(
            "router \"mocle\": option " + key + " is " + o.whole(key) + "; give at least 1");
      }
    }
    double temperature = o.number("temperature");
    if (!(temperature > 0) || Double.isInfinite(temperature)) {
      throw new MoeException(
          "router \"mocle\": option temperature is " + temperature + "; give more than 0");
    }
    if (!(o.number("noise") >= 0) || Double.isInfinite(o.number("noise"))) {
      throw new MoeException(
          "router \"mocle\": option noise is " + o.number("noise") + "; give at least 0");
    }
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    FixedRule.finite(x, context);
    if (context.domains().isEmpty()) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": router \"mocle\" reads the cluster of a text, and the context has none; give it"
              + " with withDomains, -1 if it is unknown");
    }
    long[] ids = DomainLabels.of(context, NAME, clusterCount, "clusters");
    boolean[] unknown = new boolean[ids.length];
    for (int t = 0; t < ids.length; t++) {
      unknown[t] = ids[t] == DomainLabels.UNKNOWN;
      // The row behind the last cluster is the mean of all.
      ids[t] = unknown[t] ? clusterCount : ids[t];
    }
    Tensor logits = Logits.finite(logits(x.dtype(), context, ids), context);
    Tensor p = logits.div(temperature).softmax(-1);
    Tensor best = Selection.top(p, 1);
    Tensor w = p.gather(1, best);
    if (experts == tasks) {
      Evidence evidence = Evidence.of(logits, p, p, p.detach());
      return TokenChoice.of(experts, best, w, Gating.FIXED, evidence).onlyReal(context);
    }
    Tensor alone = Tensor.of(mask(unknown), ids.length, 1).to(x.device()).to(DType.BOOL);
    Tensor rest = w.neg().add(1);
    Tensor task = squared ? w.square() : w;
    Tensor weights = Tensor.cat(List.of(task.maskedFill(alone, 0), rest.maskedFill(alone, 1)), 1);
    Tensor universal = Tensor.full(experts - 1, DType.I64, x.device(), ids.length, 1);
    Tensor choices = Tensor.cat(List.of(best.maskedFill(alone, -1), universal), 1);
    return TokenChoice.of(experts, choices, weights, Gating.FIXED, Evidence.none())
        .onlyReal(context);
  }

  private static byte[] mask(boolean[] values) {
    byte[] bytes = new byte[values.length];
    IntStream.range(0, values.length).forEach(i -> bytes[i] = (byte) (values[i] ? 1 : 0));
    return bytes;
  }

  /** Gated once a cluster, then looked up by token: [T, task experts], noise and all. */
  private Tensor logits(DType input, TokenContext context, long[] ids) {
    DType type = input == DType.F64 ? DType.F64 : DType.F32;
    Tensor t = clusters.tensor().to(type);
    Tensor all = Tensor.cat(List.of(t, t.mean(0, true)), 0);
    Tensor table = Ops.linear(all, weight.tensor().to(type), bias.tensor().to(type));
    Tensor logits = table.indexSelect(0, Tensor.of(ids).to(table.device()));
    if (!context.training() || noise == 0) {
      return logits;
    }
    Tensor drawn = context.random().normal(0, noise, DType.F32, context.sequences(), tasks);
    return logits.add(drawn.to(table.device()).to(type).repeatInterleave(context.length(), 0));
  }
}
