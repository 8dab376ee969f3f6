package org.moe4j.train.config;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.moe4j.InitScheme;

/** Section {@code [moe]}. */
public record MoeSection(
    @Key(doc = "The router, by its name in the registry.") String router,
    @Key(doc = "Routed experts of a layer.", min = 1, max = 1_048_576) int experts,
    @Key(
            doc =
                "Experts that a token goes to, at most experts; where it is not set, the number the"
                    + " router's own system fixes, else 2.",
            min = 1,
            max = 4096)
        Optional<Integer> topK,
    @Key(doc = "Width inside an expert.", min = 1, max = 1_048_576) int expertFfn,
    @Key(doc = "Experts beside the routed ones that every token goes to.", min = 0, max = 1024)
        int sharedExperts,
    @Key(
            doc =
                "When the weights of a token's chosen experts are made to sum to one; as the"
                    + " router's own system does where it is not set.")
        Optional<Renormalise> renormalise,
    @Key(
            doc =
                "Factor on the weights of the routed experts; as the router's own system has it"
                    + " where it is not set.",
            above = 0)
        Optional<Double> scale,
    @Key(
            doc =
                "How tokens reach their experts: dropless (grouped matmul, nothing is dropped),"
                    + " capacity (fixed buffers) or einsum (one-hot matrices, the slow reference).")
        Dispatcher dispatcher,
    @Key(
            doc =
                "Places of an expert over its even share of the tokens; what goes beyond is"
                    + " dropped. Needs a dispatcher other than dropless.",
            above = 0,
            max = 1_000_000)
        Optional<Double> capacityFactor,
    @Key(
            doc =
                "Who finds room first under a capacity factor: token (earlier tokens), choice (all"
                    + " first choices before any second), priority (the surest tokens of the"
                    + " batch, S12; not causal) or priority-sum (as that, by the sum of a"
                    + " token's scores).")
        DropOrder dropOrder,
    @Key(
            doc =
                "A system whose way of counting an expert's places, and whose drop order, are used"
                    + " in place of capacity-factor times the even share, rounded up, and of"
                    + " drop-order (factor 1.25 where none is given): gshard, lingvo, mesh, switch, flaxformer, vmoe, fairseq,"
                    + " megablocks, fastmoe-gshard or fastmoe-switch.")
        Optional<String> capacityPolicy,
    @Key(
            doc =
                "Tokens that share an expert's places and over which the losses of fractions times"
                    + " probabilities are averaged (S05's local groups); it must divide the tokens"
                    + " of a batch. All of them where it is not set.",
            min = 1)
        Optional<Integer> groupSize,
    @Key(doc = "Nonlinearity of an expert; the GLU kinds have a gate beside it.")
        Activation activation,
    @Key(
            doc =
                "How gate, experts and dense feed-forwards start: normal (deviation 0.02), or as a"
                    + " system has it, by its widths: deepseek, switch, st-moe, t5, gshard or"
                    + " shazeer.")
        InitScheme init,
    @Key(doc = "Weight of the load-balancing losses of the router's own system.", min = 0)
        double balanceLoss,
    @Key(
            doc =
                "Balance losses by name with their weights, in place of those of the router's own"
                    + " system; moe list shows them.")
        Map<String, String> losses,
    @Key(doc = "Weight of the router z-loss, for routers that have logits.", min = 0) double zLoss,
    @Key(
            doc =
                "Train with a router or drop order that looks at later tokens, for reproductions:"
                    + " its losses are too good to be true.")
        boolean allowLeaks,
    @Key(doc = "Settings that this router alone has, by name.") Map<String, String> options) {

  /** When the combine weights are normalised. */
  public enum Renormalise {
    NO,
    BEFORE_DROP,
    AFTER_DROP
  }

  /** How tokens reach their experts and come back. */
  public enum Dispatcher {
    DROPLESS,
    CAPACITY,
    EINSUM
  }

  /** Who finds room first. */
  public enum DropOrder {
    TOKEN,
    CHOICE,
    PRIORITY,
    PRIORITY_SUM
  }

  /** The nonlinearity of an expert. */
  public enum Activation {
    SWIGLU,
    GEGLU,
    RELU,
    GELU
  }

  /** Refuses more choices than experts, and a capacity that nothing would apply. */
  public MoeSection {
    losses = Collections.unmodifiableMap(new LinkedHashMap<>(losses));
    options = Collections.unmodifiableMap(new LinkedHashMap<>(options));
    Check.that(
        !router.isBlank(), "moe", "router is empty; name one, for example \"softmax-top-k\"");
    Check.that(
        topK.orElse(1) <= experts,
        "moe",
        "top-k = " + topK.orElse(1) + " is more than experts = " + experts + "; lower top-k");
    Check.that(
        (capacityFactor.isEmpty() && capacityPolicy.isEmpty()) || dispatcher != Dispatcher.DROPLESS,
        "moe",
        (capacityFactor.isPresent() ? "capacity-factor" : "capacity-policy")
            + " does not go with dispatcher = \"dropless\", which drops nothing; leave"
            + " it out or use dispatcher = \"capacity\"");
    Check.that(
        capacityFactor.isPresent()
            || capacityPolicy.isPresent()
            || dispatcher != Dispatcher.CAPACITY,
        "moe",
        "dispatcher = \"capacity\" needs a capacity-factor, for example 1.25");
  }

  static MoeSection defaults() {
    return new MoeSection(
        "softmax-top-k",
        16,
        Optional.empty(),
        256,
        0,
        Optional.empty(),
        Optional.empty(),
        Dispatcher.DROPLESS,
        Optional.empty(),
        DropOrder.TOKEN,
        Optional.empty(),
        Optional.empty(),
        Activation.SWIGLU,
        InitScheme.NORMAL,
        0.01,
        Map.of(),
        0.001,
        false,
        Map.of());
  }
}
