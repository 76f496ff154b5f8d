import numpy as np

from stencilnet.report import training_figure


def test_the_figure_shows_losses_validations_and_longer_windows(make_history):
    history = make_history()
    figure = training_figure(history)
    left, right = figure.axes
    loss, longer = left.get_lines()
    np.testing.assert_array_equal(loss.get_ydata(), history["loss"])
    assert list(longer.get_xdata()) == [100, 100]
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "longer windows"
    ]
    (validation,) = right.get_lines()
    np.testing.assert_array_equal(
        validation.get_xdata(), history["validation_iteration"]
    )
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["(a) training", "(b) validation"]


def test_a_training_that_was_never_validated_is_drawn():
    figure = training_figure({"loss": np.array([1.0, 0.5]), "horizon": np.ones(2)})
    left, right = figure.axes
    assert left.get_legend() is None
    assert not right.get_lines()
