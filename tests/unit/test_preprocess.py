import cv2
import numpy as np
import pytest

from edge.bundle import Preprocess, Quantization, TensorSpec
from edge.errors import BundleError
from edge.preprocess import Preprocessor

LETTERBOX = Preprocess(fit="letterbox", pad_value=7)


def spec(dtype: str, size: tuple[int, int] = (64, 96), quantization: Quantization | None = None) -> TensorSpec:
    return TensorSpec(name="image", dtype=dtype, shape=(1, *size, 3), quantization=quantization)


def picture(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3)).astype(np.uint8)


def test_a_picture_of_the_models_size_goes_through_untouched() -> None:
    image = picture(64, 96)
    tensor, scale = Preprocessor(spec("uint8"), LETTERBOX).fit(image)
    np.testing.assert_array_equal(tensor[0], image)
    assert scale == (1.0, 1.0)


def test_letterbox_keeps_the_aspect_ratio_and_pads_right_and_bottom() -> None:
    tensor, scale = Preprocessor(spec("uint8"), LETTERBOX).fit(np.full((128, 100, 3), 200, np.uint8))
    assert scale == (0.5, 0.5)
    assert (tensor[0, :, :50] == 200).all()
    assert (tensor[0, :, 50:] == 7).all()


def test_padding_is_written_again_when_the_shape_of_the_picture_changes() -> None:
    preprocessor = Preprocessor(spec("uint8"), LETTERBOX)
    preprocessor.fit(np.full((10, 15, 3), 200, np.uint8))
    tensor, _ = preprocessor.fit(np.full((64, 10, 3), 200, np.uint8))
    assert (tensor[0, :, 10:] == 7).all()


def test_stretch_fills_the_tensor() -> None:
    tensor, scale = Preprocessor(spec("uint8"), Preprocess(fit="stretch")).fit(np.full((10, 10, 3), 9, np.uint8))
    assert (tensor == 9).all()
    assert scale == (9.6, 6.4)


def test_float_input_is_normalised_in_the_models_colour_order() -> None:
    image = picture(64, 96)
    how = Preprocess(fit="letterbox", color="bgr", mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    tensor, _ = Preprocessor(spec("float32"), how).fit(image)
    want = (image[..., ::-1].astype(np.float64) - (1, 2, 3)) / (2, 4, 8)
    np.testing.assert_allclose(tensor[0], want, rtol=1e-6)


def test_quantised_input_is_rounded_to_the_nearest_step_and_saturates() -> None:
    image = picture(64, 96)
    how = Preprocess(fit="letterbox", mean=(128.0, 128.0, 128.0), std=(64.0, 64.0, 64.0))
    quantization = Quantization(scale=1 / 80, zero_point=3)
    tensor, _ = Preprocessor(spec("int8", quantization=quantization), how).fit(image)
    want = np.clip(np.round((image - 128.0) / 64 * 80) + 3, -128, 127)
    assert tensor.dtype == np.int8
    np.testing.assert_array_equal(tensor[0], want)


def test_a_crop_is_what_lies_inside_the_box() -> None:
    image = picture(200, 300)
    crop = Preprocessor(spec("uint8"), LETTERBOX).crop(image, np.array([30, 40, 126, 104], np.float32))
    np.testing.assert_array_equal(crop[0], image[40:104, 30:126])


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (400, 300, 500, 400), (5, 5, 5, 5), (299.9, 199.9, 300, 200)])
def test_a_box_without_a_pixel_inside_gives_the_nearest_one(box: tuple[float, ...]) -> None:
    tensor = Preprocessor(spec("uint8"), Preprocess(fit="stretch")).crop(picture(200, 300), np.array(box, np.float32))
    assert (tensor == tensor[0, 0, 0]).all()


def test_an_input_that_is_no_picture_is_refused() -> None:
    with pytest.raises(BundleError, match=r"want shape \(1, height, width, 3\), got \(1, 10\)"):
        Preprocessor(TensorSpec(name="x", dtype="float32", shape=(1, 10)), LETTERBOX)


def test_a_quantised_input_without_its_scale_is_refused() -> None:
    with pytest.raises(BundleError, match="got int8 without scale"):
        Preprocessor(spec("int8"), LETTERBOX)


@pytest.mark.parametrize("shape", [(1, 20, 30, 1), (1, 20, 30)])
def test_gray_is_the_luma_of_the_resized_picture(shape: tuple[int, ...]) -> None:
    gray = TensorSpec(name="image", dtype="float32", shape=shape)
    how = Preprocess(fit="stretch", color="gray", mean=(10.0,), std=(2.0,))
    image = picture(40, 60)
    want = cv2.cvtColor(cv2.resize(image, (30, 20)), cv2.COLOR_RGB2GRAY).astype(np.float32)
    tensor, _ = Preprocessor(gray, how).fit(image)
    np.testing.assert_array_equal(tensor.reshape(20, 30), (want - 10) / 2)
    pixels, _ = Preprocessor(
        TensorSpec(name="image", dtype="uint8", shape=shape), Preprocess(fit="stretch", color="gray")
    ).fit(image)
    np.testing.assert_array_equal(pixels.reshape(20, 30), want)
