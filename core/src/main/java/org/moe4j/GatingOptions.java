package org.moe4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.moe4j.tensor.DType;

/** A {@link Gating} as options of a configuration file, and back. */
final class GatingOptions {
  private GatingOptions() {}

  /** The keys, with {@code standard}'s values as defaults. */
  static List<OptionKey> keys(Gating standard) {
    List<OptionKey> keys = new ArrayList<>();
    Map<String, Object> defaults = write(standard);
    keys.add(word("score", defaults, Gating.Score.class, "function from logits to scores"));
    keys.add(plain("logit-scale", defaults, "factor on logits; z-scored: their deviation"));
    keys.add(word("order", defaults, Gating.Order.class, "score all and select, or the reverse"));
    keys.add(plain("selection-bias", defaults, "a bias per expert that only selection sees"));
    keys.add(plain("groups", defaults, "groups of experts; 1 is no limit"));
    keys.add(plain("kept-groups", defaults, "groups a token may choose from"));
    keys.add(word("group-score", defaults, GroupLimit.GroupScore.class, "how groups are rated"));
    keys.add(word("group-mask", defaults, GroupLimit.Mask.class, "score outside kept groups"));
    keys.add(word("renormalise", defaults, Renormalise.When.class, "divide weights by their norm"));
    keys.add(word("guard", defaults, Renormalise.Guard.class, "how epsilon enters the divisor"));
    keys.add(plain("epsilon", defaults, "keeps the divisor from zero"));
    keys.add(plain("norm", defaults, "p of the norm that divides; 1 is the sum"));
    keys.add(plain("scale", defaults, "factor on the final weights"));
    keys.add(word("weight-on", defaults, Gating.WeightOn.class, "experts' output or input"));
    keys.add(
        new OptionKey(
            "dtype",
            standard("dtype", defaults),
            List.of("f32", "bf16", "f16", "f64"),
            "type the router computes in"));
    keys.add(word("rounding", defaults, Gating.Rounding.class, "what is rounded to x's type"));
    return keys;
  }

  private static OptionKey word(
      String key, Map<String, Object> defaults, Class<? extends Enum<?>> type, String doc) {
    List<String> words = Arrays.stream(type.getEnumConstants()).map(GatingOptions::label).toList();
    return new OptionKey(key, standard(key, defaults), words, doc);
  }

  private static OptionKey plain(String key, Map<String, Object> defaults, String doc) {
    return new OptionKey(key, standard(key, defaults), List.of(), doc);
  }

  private static Object standard(String key, Map<String, Object> defaults) {
    return Objects.requireNonNull(defaults.get(key), key);
  }

  /** The gating these options describe. */
  static Gating read(Options o) {
    return new Gating(
        o.constant("score", Gating.Score.class),
        o.number("logit-scale"),
        o.constant("order", Gating.Order.class),
        o.flag("selection-bias"),
        new GroupLimit(
            o.whole("groups"),
            o.whole("kept-groups"),
            o.constant("group-score", GroupLimit.GroupScore.class),
            o.constant("group-mask", GroupLimit.Mask.class)),
        new Renormalise(
            o.constant("renormalise", Renormalise.When.class),
            o.constant("guard", Renormalise.Guard.class),
            o.number("epsilon"),
            o.number("norm")),
        o.number("scale"),
        o.constant("weight-on", Gating.WeightOn.class),
        o.constant("dtype", DType.class),
        o.constant("rounding", Gating.Rounding.class));
  }

  /** The options that describe {@code g}. */
  static Map<String, Object> write(Gating g) {
    Map<String, Object> o = new LinkedHashMap<>();
    o.put("score", label(g.score()));
    o.put("logit-scale", g.logitScale());
    o.put("order", label(g.order()));
    o.put("selection-bias", g.selectionBias());
    o.put("groups", (long) g.groups().groups());
    o.put("kept-groups", (long) g.groups().kept());
    o.put("group-score", label(g.groups().score()));
    o.put("group-mask", label(g.groups().mask()));
    o.put("renormalise", label(g.renormalise().when()));
    o.put("guard", label(g.renormalise().guard()));
    o.put("epsilon", g.renormalise().epsilon());
    o.put("norm", g.renormalise().norm());
    o.put("scale", g.scale());
    o.put("weight-on", label(g.weightOn()));
    o.put("dtype", label(g.dtype()));
    o.put("rounding", label(g.rounding()));
    return o;
  }

  private static String label(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
