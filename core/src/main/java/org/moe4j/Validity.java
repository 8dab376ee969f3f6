package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import org.moe4j.tensor.MoeException;

/**
 * Which choices go together: the validity table of S22 as code. Impossible pairs are refused with
 * both names; doubtful ones give a warning to be shown once.
 */
public final class Validity {
  /** What the layer is to be used for. */
  public enum Use {
    /** Training a model that may not see the future. */
    CAUSAL_TRAINING("causal training"),
    /** Generating: a prefix's results may not change when tokens or sequences join. */
    DECODING("decoding"),
    /** An encoder or a vision model. */
    ENCODER("an encoder");

    private final String label;

    Use(String label) {
      this.label = label;
    }
  }

  private Validity() {}

  /**
   * Warnings for this configuration in this use, one line each.
   *
   * @param force turns what leaks from the future in training into a warning, for reproductions
   * @throws MoeException for an impossible combination, naming both sides
   */
  public static List<String> check(MoeConfig config, Use use, boolean force) {
    List<String> warnings = new ArrayList<>();
    RouterEntry router = config.routerEntry();
    router.validate(config);
    // What a surrounding hands to another router must suit that one.
    RouterEntry within = config.inside().routerEntry();
    form(config, within, use, warnings);
    causality(router, use, force, warnings);
    if (!within.name().equals(router.name())) {
      causality(within, use, force, warnings);
    }
    if (!config.capacity().unlimited()) {
      drops(config, use, force, warnings);
    }
    losses(config, router, within);
    BiasController.doubts(config).ifPresent(warnings::add);
    ungrouped(config).ifPresent(warnings::add);
    boolean noise = router.evidence().contains(Evidence.Kind.MEMBERSHIP);
    if (config.init() == InitScheme.SHAZEER && !noise) {
      warnings.add(
          "init \"shazeer\" starts the gate at zero, and router \""
              + config.router()
              + "\" has no noise: every token goes to the first experts until gradients differ");
    }
    return warnings;
  }

  /** What a plan's form excludes. */
  private static void form(MoeConfig config, RouterEntry router, Use use, List<String> warnings) {
    if (router.form() == RoutingForm.DENSE && use != Use.DECODING) {
      warnings.add(
          "router \""
              + router.name()
              + "\" saves nothing in training: all "
              + config.experts()
              + " experts compute every token");
    }
    if (router.form() != RoutingForm.TOKEN_CHOICE && !config.capacity().unlimited()) {
      String why =
          switch (router.form()) {
            case EXPERT_CHOICE -> "each of its experts takes a fixed number of tokens";
            case DENSE -> "all of its experts compute all tokens";
            case SLOTS -> "its slots are its capacity";
            default -> "its experts are gathered";
          };
      throw new MoeException(
          "router \""
              + router.name()
              + "\" and a capacity factor exclude each other: "
              + why
              + "; leave the capacity factor out");
    }
    if (router.form() != RoutingForm.TOKEN_CHOICE && config.forceBalance()) {
      throw new MoeException(
          "router \""
              + router.name()
              + "\" and forced balance exclude each other: no token chooses; leave it out");
    }
  }

  private static String forReproductions(Use use) {
    return use == Use.CAUSAL_TRAINING ? ", or allow leaks to reproduce a result" : "";
  }

  private static void causality(RouterEntry router, Use use, boolean force, List<String> warnings) {
    if (use == Use.CAUSAL_TRAINING && router.causality() == Causality.TRAINING_ONLY) {
      warnings.add(
          "router \""
              + router.name()
              + "\" looks at other tokens in training; evaluation and decoding do not");
    }
    if (router.causality().decodes() || use == Use.ENCODER) {
      return;
    }
    String line = "router \"" + router.name() + "\" looks at other tokens: not for " + use.label;
    if (use == Use.DECODING || !force) {
      throw new MoeException(line + "; choose a per-token router" + forReproductions(use));
    }
    warnings.add(line);
  }

  private static void drops(MoeConfig config, Use use, boolean force, List<String> warnings) {
    if (use == Use.ENCODER) {
      return;
    }
    DropOrder order = config.capacity().order();
    if (order.byScore()) {
      String line =
          "drop order \""
              + order.name().toLowerCase(Locale.ROOT).replace('_', '-')
              + "\" lets later tokens and other sequences decide: not for "
              + use.label;
      if (use == Use.DECODING || !force) {
        throw new MoeException(
            line + "; use drop order \"token\" or no capacity" + forReproductions(use));
      }
      warnings.add(line);
    } else if (use == Use.DECODING) {
      warnings.add(
          "a capacity factor in decoding makes results depend on the batch; prefer no capacity");
    } else if (order == DropOrder.CHOICE && config.topK() > 1) {
      warnings.add(
          "drop order \"choice\" with top-k "
              + config.topK()
              + " in causal training: a later token's first choice can evict an earlier token's"
              + " second");
    } else {
      warnings.add(
          "drops by position in causal training depend on the sequences before in the group");
    }
  }

  /** A loss over the router's groups, which stand for devices, where there are none. */
  private static Optional<String> ungrouped(MoeConfig config) {
    if (config.gating().stream().anyMatch(g -> g.groups().groups() > 1)) {
      return Optional.empty();
    }
    return config.balance().stream()
        .filter(t -> t.coefficient() > 0 && byGroup(t.loss()))
        .map(
            t ->
                "balance loss \""
                    + t.loss().name()
                    + "\" has no gradient with router \""
                    + config.router()
                    + "\" without groups of experts, which stand for devices; set its option"
                    + " groups or remove the loss")
        .findFirst();
  }

  private static boolean byGroup(Balance loss) {
    return switch (loss) {
      case AdaptiveBalance a -> byGroup(a.loss());
      case DeviceBalance d -> d.devices() == 0;
      case CommunicationBalance c -> true;
      default -> false;
    };
  }

  /** What the losses need must come from the router that works inside. */
  private static void losses(MoeConfig config, RouterEntry outer, RouterEntry router) {
    String around = outer.name().equals(router.name()) ? "" : outer.name() + "\" around \"";
    for (BalanceTerm term : config.balance()) {
      Balance loss = term.loss();
      if (term.coefficient() > 0 && !router.suits(loss)) {
        String why =
            loss.needs().forms().contains(router.form())
                ? "its plans lack " + missing(loss, router)
                : "its plans are of the form " + words(router.form());
        throw new MoeException(
            "balance loss \""
                + loss.name()
                + "\" and router \""
                + around
                + router.name()
                + "\" exclude each other: "
                + why
                + "; leave the loss out or set its coefficient to 0");
      }
    }
  }

  private static String missing(Balance loss, RouterEntry router) {
    return loss.needs().evidence().stream()
        .filter(kind -> !router.evidence().contains(kind))
        .map(Validity::words)
        .sorted()
        .collect(Collectors.joining(" and "));
  }

  private static String words(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }
}
