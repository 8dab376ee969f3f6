package org.moe4j.train;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.moe4j.Balance;
import org.moe4j.BalanceRegistry;
import org.moe4j.BalanceTerm;
import org.moe4j.Capacity;
import org.moe4j.CapacityRule;
import org.moe4j.Dispatch;
import org.moe4j.DropOrder;
import org.moe4j.ExpertForm;
import org.moe4j.FractionBalance;
import org.moe4j.Grouping;
import org.moe4j.MoeConfig;
import org.moe4j.OptionKey;
import org.moe4j.RouterRegistry;
import org.moe4j.RouterZLoss;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.NormKind;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.config.ModelSection;
import org.moe4j.train.config.MoeSection;
import org.moe4j.train.config.TrainingConfig;

/** The model that a configuration describes. */
public final class ModelPlan {
  /** Models can go on beyond the length they were trained on, up to at least this. */
  private static final int SHORTEST_REACH = 1024;

  /**
   * The factor of a named capacity policy that none was given for (S05's, S06's and S18's code).
   */
  private static final double USUAL_FACTOR = 1.25;

  private static final int USUAL_TOP_K = 2;

  /** The option of routers whose start depends on the depth of the model. */
  private static final String LAYERS = "model-layers";

  private ModelPlan() {}

  /**
   * The decoder of {@code config}.
   *
   * @param vocab tokens of its tokenizer
   * @throws MoeException if it is impossible
   */
  public static DecoderConfig of(TrainingConfig config, int vocab) {
    return of(config, vocab, 0);
  }

  /**
   * The decoder of {@code config} for a text of {@code domains} labelled domains: routers that are
   * steered by them learn how many there are.
   */
  public static DecoderConfig of(TrainingConfig config, int vocab, int domains) {
    ModelSection m = config.model();
    MoeConfig moe = moe(config);
    MoeConfig told = domains > moe.experts() ? moe.knowing("domains", domains) : moe;
    GroupedQueryConfig attention =
        GroupedQueryConfig.of(m.hidden(), m.heads())
            .withKvHeads(m.kvHeads())
            .withRopeTheta(m.ropeTheta())
            .withQkNorm(
                m.qkNorm() ? GroupedQueryConfig.QkNorm.WHOLE : GroupedQueryConfig.QkNorm.NONE);
    FeedForwardConfig dense =
        new FeedForwardConfig.Dense(form(config.moe().activation()), m.ffn(), config.moe().init());
    List<FeedForwardConfig> layers = new ArrayList<>();
    for (int i = 0; i < m.layers(); i++) {
      layers.add(m.placement().hasExperts(i) ? new FeedForwardConfig.Moe(told) : dense);
    }
    return DecoderConfig.builder(vocab, m.hidden(), attention, layers)
        .norm(m.norm() == ModelSection.Norm.RMSNORM ? NormKind.RMS : NormKind.LAYER)
        .maxPositions(Math.max(config.data().sequenceLength(), SHORTEST_REACH))
        .tiedEmbeddings(m.tieEmbeddings())
        .initStd(m.initStd())
        .build();
  }

  /** The sparse layer of {@code config}. */
  public static MoeConfig moe(TrainingConfig config) {
    MoeSection s = config.moe();
    return MoeConfig.builder(config.model().hidden(), s.expertFfn(), s.experts(), topK(s))
        .router(s.router(), options(s, config.model().layers()))
        .form(form(s.activation()))
        .init(s.init())
        .sharedExperts(s.sharedExperts())
        .capacity(capacity(s))
        .dispatch(
            switch (s.dispatcher()) {
              case DROPLESS -> Dispatch.DROPLESS;
              case CAPACITY -> Dispatch.BUFFERS;
              case EINSUM -> Dispatch.ONE_HOT;
            })
        .balance(balance(s))
        .build();
  }

  private static int topK(MoeSection s) {
    int own = RouterRegistry.named(s.router()).choices().orElse(USUAL_TOP_K);
    return s.topK().orElse(Math.min(own, s.experts()));
  }

  /** The section's keys that routers have as options, where this one has them; then its own. */
  private static Map<String, String> options(MoeSection s, int layers) {
    Set<String> known =
        RouterRegistry.named(s.router()).options().stream()
            .map(OptionKey::key)
            .collect(Collectors.toSet());
    Map<String, String> options = new LinkedHashMap<>();
    s.renormalise().ifPresent(r -> options.put("renormalise", label(r)));
    s.scale().ifPresent(scale -> options.put("scale", scale.toString()));
    for (String key : options.keySet()) {
      if (!known.contains(key)) {
        throw new MoeException(
            "[moe] " + key + " does not go with router \"" + s.router() + "\"; leave it out");
      }
    }
    if (known.contains(LAYERS)) {
      options.put(LAYERS, Integer.toString(layers));
    }
    options.putAll(s.options());
    return options;
  }

  private static String label(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** In training alone: at evaluation a token's result must not depend on its neighbours. */
  private static Capacity capacity(MoeSection s) {
    if (s.capacityFactor().isEmpty() && s.capacityPolicy().isEmpty()) {
      return Capacity.NONE;
    }
    double factor = s.capacityFactor().orElse(USUAL_FACTOR);
    Capacity c =
        s.capacityPolicy()
            .map(name -> Capacity.named(name, factor, 1))
            .orElseGet(
                () ->
                    Capacity.of(
                        new CapacityRule.Factor(factor, true, CapacityRule.Rounding.CEIL),
                        Grouping.BATCH,
                        DropOrder.valueOf(s.dropOrder().name())));
    Grouping group = s.groupSize().map(Grouping::tokens).orElse(c.group());
    return new Capacity(c.train(), CapacityRule.UNLIMITED, group, c.order(), c.rejectedTakeSlots());
  }

  /** The losses that are named; else those of the router's own system. */
  private static List<BalanceTerm> balance(MoeSection s) {
    List<BalanceTerm> terms = new ArrayList<>();
    if (s.losses().isEmpty()) {
      RouterRegistry.named(s.router())
          .losses()
          .forEach(n -> add(terms, loss(n, s), s.balanceLoss()));
    } else {
      s.losses().forEach((n, w) -> add(terms, loss(n, s), weight(n, w)));
    }
    Balance z = new RouterZLoss();
    if (!s.losses().containsKey(z.name()) && RouterRegistry.named(s.router()).suits(z)) {
      add(terms, z, s.zLoss());
    }
    return terms;
  }

  /** The loss of this name, averaged over the section's groups if it has any. */
  private static Balance loss(String name, MoeSection s) {
    Balance loss = BalanceRegistry.named(name);
    return loss instanceof FractionBalance f && f.group().equals(Grouping.BATCH)
        ? s.groupSize().<Balance>map(size -> f.over(Grouping.tokens(size))).orElse(f)
        : loss;
  }

  private static double weight(String loss, String text) {
    try {
      double weight = Double.parseDouble(text);
      if (weight >= 0 && Double.isFinite(weight)) {
        return weight;
      }
    } catch (NumberFormatException e) {
      // Refused below, as a negative number is.
    }
    throw new MoeException("[moe.losses] " + loss + " = " + text + "; give its weight, at least 0");
  }

  private static void add(List<BalanceTerm> terms, Balance loss, double coefficient) {
    if (coefficient > 0) {
      terms.add(new BalanceTerm(loss, coefficient));
    }
  }

  private static ExpertForm form(MoeSection.Activation activation) {
    return switch (activation) {
      case SWIGLU -> ExpertForm.SWIGLU;
      case GEGLU -> ExpertForm.GEGLU;
      case RELU -> ExpertForm.RELU;
      case GELU -> ExpertForm.GELU;
    };
  }
}
