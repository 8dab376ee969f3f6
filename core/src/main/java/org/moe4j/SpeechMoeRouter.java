package org.moe4j;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * SpeechMoE's router (S10): the best expert by the softmax of {@code [e; x] W^T}, its probability
 * the weight. e comes from one small embedding network that all layers' routers share, computed
 * once a pass and detached: routers and their losses do not train it, its own loss does.
 *
 * <p>The paper's embedding network reads acoustic features and has a CTC loss. In a decoder it
 * reads the hidden state that reaches the first sparse layer (two ReLU layers, e the second's
 * output), and its own loss is the cross-entropy of predicting the class of the next token, its id
 * modulo the number of classes, with the paper's weight 0.01. Its input is detached too, so that it
 * is a network beside the model, as in the paper. Nothing in it looks at other tokens.
 */
public final class SpeechMoeRouter implements Router {
  private static final String NAME = "speech_embedding";
  private static final String WIDTH = "embedding-width";
  private static final String CLASSES = "embedding-classes";
  private static final String LOSS = "embedding-loss";

  private final int classes;
  private final double coefficient;
  private final Parameter weight;
  private final Parameter first;
  private final Parameter firstBias;
  private final Parameter second;
  private final Parameter secondBias;
  private final Parameter head;

  private SpeechMoeRouter(RouterSetup s) {
    int d = s.config().width();
    int e = width(s.config(), s.options());
    int experts = s.config().experts();
    this.classes = atLeastOne(s.options(), CLASSES);
    this.coefficient = s.options().number(LOSS);
    if (!(coefficient >= 0)) {
      throw new MoeException("option embedding-loss is " + coefficient + "; give at least 0");
    }
    // Xavier's uniform with gain 1/2, the start of the authors' released recipe.
    Init init = Init.uniform(Math.sqrt(6.0 / (experts + d + e)) / 2);
    this.weight =
        s.store().create("gate.weight", new Role.Gate(s.layer()), init, experts, (long) e + d);
    this.first = shared(s, "w_1", Init.kaimingUniform(d), e, d);
    this.firstBias = shared(s, "b_1", Init.zeros(), e);
    this.second = shared(s, "w_2", Init.kaimingUniform(e), e, e);
    this.secondBias = shared(s, "b_2", Init.zeros(), e);
    this.head = shared(s, "head", Init.kaimingUniform(e), classes, e);
  }

  private static Parameter shared(RouterSetup s, String name, Init init, long... shape) {
    return s.store().shared(NAME + "." + name, Role.NON_EXPERT, init, shape);
  }

  private static int width(MoeConfig config, Options options) {
    return options.whole(WIDTH) == 0 ? config.width() : atLeastOne(options, WIDTH);
  }

  private static int atLeastOne(Options options, String key) {
    int n = options.whole(key);
    if (n < 1) {
      throw new MoeException("option " + key + " is " + n + "; give at least 1");
    }
    return n;
  }

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "speech-moe",
            "S10",
            "top-1 by the hidden state and an embedding network that all layers share")
        .choices(1)
        .losses("sparsity-l1", "mean-importance")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("choices", "1")
                .with("gate", "softmax then select + not renormalised")
                .with("balance", "mean importance")
                .with("placement", "feed-forward + every layer")
                .with("experts", "few large"))
        .options(
            OptionKey.whole(WIDTH, 0, "width of the shared embedding; 0: the token's"),
            OptionKey.whole(CLASSES, 256, "classes of the next token's id in its own loss"),
            OptionKey.number(LOSS, 0.01, "weight of the embedding network's own loss"))
        .commonParameters(SpeechMoeRouter::embeddingParameters)
        .flops(c -> 2L * c.experts() * (c.width() + width(c, options(c))))
        .build(
            SpeechMoeRouter::new,
            c -> (long) c.experts() * (c.width() + width(c, options(c))) + embeddingParameters(c));
  }

  private static Options options(MoeConfig config) {
    return config.routerEntry().check(config);
  }

  private static long embeddingParameters(MoeConfig config) {
    Options options = options(config);
    long e = width(config, options);
    return e * (config.width() + 1) + e * (e + 1) + e * options.whole(CLASSES);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = x.to(type);
    Optional<Tensor> carried = context.carried().below(context.layer(), NAME);
    Tensor made = carried.isEmpty() ? embedding(own.detach()) : null;
    Tensor e = made == null ? carried.orElseThrow() : made.detach();
    if (made != null) {
      context.carried().write(context.layer(), NAME, e);
    }
    if (e.size(0) != x.size(0)) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": the shared embedding has "
              + e.size(0)
              + " tokens, this layer "
              + x.size(0)
              + "; layers with router \"speech-moe\" must see the same tokens");
    }
    Tensor input = Tensor.cat(List.of(e.to(type), own), 1);
    Tensor logits = Logits.finite(Ops.linear(input, weight.tensor().to(type), null), context);
    Tensor p = logits.softmax(-1);
    Evidence evidence = Evidence.of(logits, p, p, p.detach());
    if (made != null && context.training() && coefficient > 0) {
      Optional<Tensor> loss = ownLoss(made, context);
      if (loss.isPresent()) {
        evidence = evidence.withLosses(Map.of("embedding", loss.get().mul(coefficient)));
      }
    }
    Tensor choices = Selection.top(p, 1);
    Gating gating = Gating.SWITCH;
    return TokenChoice.of(
            (int) logits.size(1), choices, gating.selected(p, choices), gating, evidence)
        .onlyReal(context);
  }

  private Tensor embedding(Tensor x) {
    return layer(layer(x, first, firstBias), second, secondBias);
  }

  private static Tensor layer(Tensor x, Parameter weight, Parameter bias) {
    DType type = x.dtype();
    return Ops.relu(Ops.linear(x, weight.tensor().to(type), bias.tensor().to(type)));
  }

  /** The mean cross-entropy of the next real token's class; none if no token has a next one. */
  private Optional<Tensor> ownLoss(Tensor e, TokenContext context) {
    long b = context.sequences();
    long s = context.length();
    if (context.ids().isEmpty() || b == 0 || s < 2 || e.size(0) != context.tokens()) {
      return Optional.empty();
    }
    Tensor next = context.ids().get().view(b, s).narrow(1, 1, s - 1).remainder(classes);
    Tensor logits = Ops.linear(e, head.tensor().to(e.dtype()), null);
    Tensor scores = logits.logSoftmax(-1).view(b, s, classes).narrow(1, 0, s - 1);
    Tensor losses = scores.gather(2, next.unsqueeze(2)).squeeze(2).neg();
    Tensor counted =
        context
            .padding()
            .map(real -> pairs(real.view(b, s), s))
            .orElseGet(() -> Tensor.full(1, DType.F32, Device.CPU, b, s - 1).to(DType.BOOL))
            .to(e.device());
    if (context.sequenceIndex().isPresent()) {
      Tensor index = context.sequenceIndex().get().view(b, s);
      counted = counted.and(index.narrow(1, 1, s - 1).eq(index.narrow(1, 0, s - 1)));
    }
    Tensor weights = counted.to(e.dtype());
    return Optional.of(losses.mul(weights).sum().div(weights.sum().clampMin(1)));
  }

  private static Tensor pairs(Tensor real, long s) {
    return real.narrow(1, 0, s - 1).and(real.narrow(1, 1, s - 1));
  }
}
