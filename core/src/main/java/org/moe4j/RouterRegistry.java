package org.moe4j;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/** Every router by its name in configuration files. A new router is one entry here. */
public final class RouterRegistry {
  private static final Map<String, RouterEntry> ENTRIES = new LinkedHashMap<>();

  private static final String POLICIES = "all, random, sampling, threshold or none";

  static {
    add(
        linear(
            "softmax-top-k",
            "S34",
            "linear router, softmax, k best (Mixtral, OLMoE, Qwen, DeepSeekMoE, gpt-oss)",
            Gating.SOFTMAX_TOP_K,
            0,
            topK("n", "softmax then select", "fraction times probability", "dropless")));
    add(
        linear(
            "sigmoid-top-k",
            "S56",
            "linear router, sigmoid scores, a bias for the selection (DeepSeek-V3)",
            Gating.DEEPSEEK_V3,
            0,
            topK("n", "sigmoid + renormalised", "bias controller", "dropless")));
    add(
        new RouterEntry(
            "noisy-top-k",
            "S01",
            "noisy top-k gate, softmax over the chosen; with importance and load losses",
            Causality.PER_TOKEN,
            topK("n", "select then softmax", "importance and load", "dropless"),
            List.of(
                OptionKey.number(
                    "noise-epsilon", 0, "added to the noise's deviation (code: 0.01)")),
            s ->
                new NoisyTopKRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().number("noise-epsilon"),
                    s.store(),
                    s.layer()),
            c -> 2L * c.experts() * c.width()));
    add(gshard());
    RouterEntry top1 =
        linear(
            "switch",
            "S06",
            "top-1 by full softmax, input jitter in training",
            Gating.SWITCH,
            0.01,
            topK(
                "1",
                "softmax then select + not renormalised",
                "fraction times probability",
                "drop by position"));
    add(
        new RouterEntry(
            top1.name(),
            top1.paper(),
            top1.description(),
            top1.causality(),
            top1.taxonomy(),
            top1.options(),
            s -> {
              exactly("switch", 1, s.config());
              return top1.maker().apply(s);
            },
            top1.parameters()));
  }

  private RouterRegistry() {}

  private static void add(RouterEntry entry) {
    ENTRIES.put(entry.name(), entry);
  }

  private static void exactly(String router, int k, MoeConfig config) {
    if (config.topK() != k) {
      throw new MoeException(
          "router \""
              + router
              + "\" chooses exactly "
              + k
              + ", not top-k "
              + config.topK()
              + "; set top-k to "
              + k);
    }
  }

  private static Taxonomy topK(String k, String gate, String balance, String overflow) {
    return new Taxonomy(
        "token",
        "linear",
        "token",
        "gate gradient",
        k,
        gate,
        balance,
        overflow,
        "feed-forward",
        "many small",
        overflow.equals("dropless") ? "grouped" : "capacity buffers",
        "pre-train");
  }

  private static RouterEntry linear(
      String name, String paper, String description, Gating standard, double jitter, Taxonomy t) {
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(standard));
    keys.add(OptionKey.flag("bias", false, "a trained bias on the logits"));
    keys.add(OptionKey.number("jitter", jitter, "in training x is multiplied by 1 +- this"));
    return new RouterEntry(
        name,
        paper,
        description,
        Causality.PER_TOKEN,
        t,
        List.copyOf(keys),
        s ->
            new LinearRouter(
                GatingOptions.read(s.options()),
                s.config().width(),
                s.config().experts(),
                s.config().topK(),
                s.options().flag("bias"),
                s.options().number("jitter"),
                s.config().init().gate(s.config().width()),
                s.store(),
                s.layer()),
        c -> {
          Options options = c.routerEntry().check(c);
          int vectors = (options.flag("bias") ? 1 : 0) + (options.flag("selection-bias") ? 1 : 0);
          return (long) c.experts() * (c.width() + vectors);
        });
  }

  private static RouterEntry gshard() {
    List<String> policies = List.of("all", "random", "sampling", "threshold", "none");
    return new RouterEntry(
        "gshard-top-2",
        "S05",
        "top-2 by full softmax, the second expert by a policy; capacity by group",
        Causality.PER_TOKEN,
        topK(
            "2",
            "softmax then select + renormalised",
            "fraction times probability",
            "drop by position"),
        List.of(
            OptionKey.word("second-expert", "random", policies, "in training: " + POLICIES),
            OptionKey.word("second-expert-eval", "all", policies, "in evaluation: " + POLICIES),
            OptionKey.number("threshold", 0.5, "of random (0.5: probability 2 g2) and threshold"),
            OptionKey.word(
                "renormalise",
                "before-drop",
                List.of("before-drop", "after-drop", "no"),
                "when the pair is divided by its sum (Lingvo: legacy before, else after)")),
        s -> {
          exactly("gshard-top-2", 2, s.config());
          Renormalise.When when = s.options().constant("renormalise", Renormalise.When.class);
          return new GShardRouter(
              s.config().width(),
              s.config().experts(),
              s.options().constant("second-expert", GShardRouter.Policy.class),
              s.options().constant("second-expert-eval", GShardRouter.Policy.class),
              s.options().number("threshold"),
              switch (when) {
                case NO -> Renormalise.NO;
                case BEFORE_DROP -> Renormalise.beforeDrop(1e-9);
                case AFTER_DROP -> Renormalise.afterDrop(Math.ulp(1.0f));
              },
              s.config().init().gate(s.config().width()),
              s.store(),
              s.layer());
        },
        c -> (long) c.experts() * c.width());
  }

  /** All entries. */
  public static Collection<RouterEntry> entries() {
    return Collections.unmodifiableCollection(ENTRIES.values());
  }

  /**
   * The entry of this name.
   *
   * @throws MoeException naming the nearest known one
   */
  public static RouterEntry named(String name) {
    RouterEntry entry = ENTRIES.get(name);
    if (entry == null) {
      throw new MoeException(
          "unknown router \""
              + name
              + "\"; did you mean \""
              + Nearest.to(name, ENTRIES.keySet())
              + "\"? (known: "
              + String.join(", ", ENTRIES.keySet())
              + ")");
    }
    return entry;
  }
}
