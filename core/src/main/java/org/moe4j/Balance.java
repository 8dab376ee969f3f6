package org.moe4j;

import java.util.EnumSet;
import java.util.Set;
import org.moe4j.tensor.Tensor;

/**
 * A loss that keeps experts evenly used or a router stable. Unweighted; see {@link BalanceTerm}.
 */
public interface Balance {
  /** The name in configuration files and logs. */
  String name();

  /** What is averaged, counted and detached. */
  Declaration declaration();

  /**
   * The loss of one layer: a scalar with gradient.
   *
   * @throws org.moe4j.tensor.MoeException if the routing lacks what the loss needs
   */
  Tensor loss(Routing routing, TokenContext context);

  /** What a routing must have for this loss. */
  default Needs needs() {
    return Needs.CHOICES;
  }

  /**
   * What a loss reads of a routing.
   *
   * @param forms the forms of plans it understands
   * @param evidence the parts of their evidence it cannot do without
   */
  record Needs(Set<RoutingForm> forms, Set<Evidence.Kind> evidence) {
    /** Tokens that choose. */
    public static final Needs CHOICES = new Needs(Set.of(RoutingForm.TOKEN_CHOICE), Set.of());

    /** Tokens that choose, and evidence of these kinds. */
    public static Needs choicesWith(Evidence.Kind... kinds) {
      return new Needs(CHOICES.forms, Set.of(kinds));
    }

    /** Evidence of these kinds, whatever the form. */
    public static Needs anyWith(Evidence.Kind... kinds) {
      return new Needs(EnumSet.allOf(RoutingForm.class), Set.of(kinds));
    }
  }

  /** Which choices a loss counts. */
  enum Counted {
    /** Each token's first choice, before drops. */
    FIRST,
    /** All k choices, before drops. */
    ALL,
    /** The choices that are served, after drops. */
    KEPT,
    /** No choices: the loss reads scores alone. */
    NONE
  }

  /**
   * What every balance loss must say of itself.
   *
   * @param averagedOver the tokens of one average; the loss is the mean over these groups
   * @param counted which choices enter
   * @param gradient through what the gradient flows, in words
   */
  record Declaration(Grouping averagedOver, Counted counted, String gradient) {}
}
